"""Captured production hosts: `matrix/hosts/NAME.yml`, and beside it copies of their files."""

from __future__ import annotations

import datetime
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic
import yaml

from hatester.matrix.models import NAME, Line, Method, Name, SysctlName, Version
from hatester.matrix.scenario import WrittenAddress
from hatester.util.errors import UserError
from hatester.util.locks import locked
from hatester.util.paths import is_there
from hatester.util.text import brief, counted, file_name, quoted
from hatester.util.validation import Declaration, load, require

AbsolutePath = Annotated[
    str, pydantic.StringConstraints(pattern=r"^(/[^/\x00-\x1f\x7f]+)+$", max_length=4000)
]


def _no_way_up(path: str) -> str:
    if {".", ".."} & {*path.split("/")}:
        raise ValueError(f"'{path}' has . or .. in it")
    return path


FilePath = Annotated[AbsolutePath, pydantic.AfterValidator(_no_way_up)]


Release = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9][!-.0-~]{0,63}$")]
"""Of a kernel, as `uname -r` gives it: 64 bytes at most (__NEW_UTS_LEN of Linux's utsname.h)."""


class HostKernel(Declaration):
    """Its Linux; the architecture is as Debian calls it."""

    release: Release
    architecture: Name


class HostSystem(Declaration):
    """Its distribution and the release's code name, by os-release(5)."""

    id: Name
    suite: Annotated[Name, pydantic.StringConstraints(max_length=50)] | None = None


class HostHAProxy(Declaration):
    """Its HAProxy; no `package` when it was not installed as one, no `version` when not told."""

    version: Version | None = None
    package: Name | None = None


class HostUnit(Declaration):
    """The unit and its drop-ins as `systemctl cat` prints them, and how HAProxy is reloaded.

    `reload` is one of models.METHODS: systemd where there is a unit that can.
    """

    text: str = ""
    type: str = ""
    reload: Method


class Limits(Declaration):
    """`nofile`: how many files HAProxy may have open, by its process."""

    nofile: Annotated[int, pydantic.Field(gt=0)] | None = None


class HostAddress(Declaration):
    """An address, with its prefix length, and the interface that has it, and of what kind."""

    address: WrittenAddress
    interface: Line
    kind: Line


class Host(Declaration):
    """A production host, without its secrets.

    `configuration` are HAProxy's, in their order; `files` are all that was copied. `arguments` are
    HAProxy's without -f and -p. `sysctls` are those that are the host's own (see
    hatester/capture/sysctls.py). `not_read` and `replaced` say what is missing or not as it is
    there.
    """

    kernel: HostKernel
    system: HostSystem
    haproxy: HostHAProxy
    unit: HostUnit
    arguments: tuple[Line, ...] = ()
    configuration: tuple[FilePath, ...]
    files: tuple[FilePath, ...]
    sysctls: Mapping[SysctlName, Line] = {}
    limits: Limits = Limits()
    addresses: tuple[HostAddress, ...] = ()
    not_read: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def name_of(host: str, name: str = "") -> str:
    """The name to keep a host under: the one that it is given, or else its own.

    Raises UserError for what cannot be a file's name.
    """
    kept = name or file_name(host.rpartition("@")[2])
    if not re.fullmatch(NAME, kept):
        raise UserError(
            f"--as: {quoted(kept)} is no name to keep {brief(host)} under: letters, digits and "
            ".+_- are."
        )
    return kept


def copy_of(folder: Path, name: str, path: str) -> Path:
    """Where the copy of a host's file is."""
    return folder / name / path.lstrip("/")


def load_host(folder: Path, name: str) -> Host:
    """Read a captured host. Raises UserError naming the file, the entry and the choices."""
    require(name, sorted(file.stem for file in folder.glob("*.yml")), "--host")
    file = folder / f"{name}.yml"
    if not re.fullmatch(NAME, name):
        raise UserError(f"{file}: this is no name for a host: letters, digits and .+_- are.")
    host = load(file, Host)
    for path in (*host.configuration, *host.files):
        if not is_there(copy_of(folder, name, path), Path.is_file):
            lack = f"there is no copy of {brief(path)}"
            raise UserError(f"{file}: {lack}; `invoke capture` makes it.")
    return host


def write_host(folder: Path, name: str, source: str, host: Host, files: Mapping[str, str]) -> Path:
    """Write a captured host and the copies of its files, or nothing; an older one gives way.

    Raises UserError where the disk fails it.
    """
    file = folder / f"{name}.yml"
    fresh, described = folder / f".{name}.fresh", folder / f".{name}.described"
    try:
        with locked(folder / f".{name}.lock", f"captures {name}"):
            shutil.rmtree(fresh, ignore_errors=True)
            for path, text in files.items():
                copy = fresh / path.lstrip("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(text.encode(errors="surrogateescape"))
            described.write_text(_yaml(host, source))
            # Without its file a host is not there: never is it half the old one, half the new.
            file.unlink(missing_ok=True)
            shutil.rmtree(folder / name, ignore_errors=True)
            fresh.rename(folder / name)
            described.replace(file)
    except OSError as error:
        raise UserError(f"{folder / name} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        described.unlink(missing_ok=True)
    return file


class _Dumper(yaml.SafeDumper):
    """A text of several lines is written as such."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(host: Host, source: str) -> str:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes")
    content = yaml.dump(
        host.model_dump(mode="json", exclude_none=True),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
    )
    return (
        f"# {source}, captured on {now} by `invoke capture`.\n"
        f"# What could not be read there is under not_read ({len(host.not_read)}), what was not "
        f"copied, but replaced,\n# under replaced ({len(host.replaced)}).\n{content}"
    )


def report(host: Host) -> str:
    """What was found, what could not be read, and what was replaced."""
    haproxy = f"HAProxy {host.haproxy.version or 'of a version that it does not tell'}"
    package = f"package {host.haproxy.package}" if host.haproxy.package else "no Debian package"
    lines = [
        f"Linux {host.kernel.release} ({host.kernel.architecture}), "
        f"{host.system.id} {host.system.suite or ''}".rstrip(),
        f"{haproxy} ({package}), reloaded by {host.unit.reload}, "
        f"started with {' '.join(host.arguments) or 'no options'}",
        f"{counted(len(host.files), 'file')}, the configuration is {', '.join(host.configuration)}",
        f"{counted(len(host.sysctls), 'sysctl')}, {counted(len(host.addresses), 'address')}",
    ]
    for title, items in (("not read", host.not_read), ("replaced", host.replaced)):
        lines.append(f"{title}: {len(items) or 'nothing'}")
        lines += [f"  {item}" for item in items]
    return "\n".join(lines)
