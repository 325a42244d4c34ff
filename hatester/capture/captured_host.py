"""Captured production hosts: `matrix/hosts/NAME.yml`, and beside it copies of their files.

Both are for the user alone: folders have the mode 0700, files 0600.
"""

from __future__ import annotations

import collections
import datetime
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic
import yaml

from hatester.capture.stand_ins import StandIn
from hatester.matrix.declarations import NAME, Line, Method, Name, SysctlName, Version
from hatester.matrix.scenario import WrittenAddress
from hatester.util.errors import UserError
from hatester.util.locks import locked
from hatester.util.paths import is_there
from hatester.util.text import brief, counted, file_name, listed, quoted
from hatester.util.validation import Declaration, load, require


def _no_way_up(path: str) -> str:
    if {".", ".."} & {*path.split("/")}:
        raise ValueError(f"'{path}' has . or .. in it")
    return path


FilePath = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^(/[^/\x00-\x1f\x7f]+)+$", max_length=4000),
    pydantic.AfterValidator(_no_way_up),
]
Release = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9][!-.0-~]{0,63}$")]
"""Of a kernel, as `uname -r` gives it: 64 bytes at most (__NEW_UTS_LEN of Linux's utsname.h)."""
CONFIGURATION = "/etc/haproxy/haproxy.cfg"
"""The path of a copy of a host's configuration, wherever the host has it; Debian's own."""
Count = Annotated[int, pydantic.Field(ge=0)]
Note = Annotated[Line, pydantic.StringConstraints(max_length=500)]


class HostKernel(Declaration):
    """A host's Linux; the architecture has Debian's name."""

    release: Release
    architecture: Name


class HostSystem(Declaration):
    """A distribution and the code name of its release, by os-release(5)."""

    id: Name
    suite: Annotated[Name, pydantic.StringConstraints(max_length=50)] | None = None


class HostHAProxy(Declaration):
    """A host's HAProxy: its Debian package, if it is one, and its version, if that is known."""

    version: Version | None = None
    package: Name | None = None


class HostUnit(Declaration):
    """The systemd unit, with its drop-ins, and the method by which HAProxy is reloaded.

    `settings` are those of [Service] that are applied to guests as well (see
    hatester/capture/unit.py).
    """

    type: str = ""
    reload: Method
    drop_ins: Count = 0
    settings: Mapping[Name, Line] = {}


class Limits(Declaration):
    """`nofile`: how many files HAProxy may have open, by its process, or else by its unit."""

    nofile: Annotated[int, pydantic.Field(gt=0)] | None = None


class HostAddress(Declaration):
    """An address, with its prefix length, and the name and the kind of its interface."""

    address: WrittenAddress
    interface: Line
    kind: Line


class Host(Declaration):
    """A production host: what a reload depends on.

    `files` are the copies: the configuration, made of `configurations` files of the host, and lists
    of certificates. `stand_ins` are files that a run makes, by their paths. `arguments` are
    HAProxy's. `sysctls` are the host's own (see hatester/capture/sysctls.py). `left_out` counts the
    directives that were not copied. `not_read` are files and commands with their problems.
    `not_understood` are lines that a reload depends on, and that could not be copied.
    """

    kernel: HostKernel
    system: HostSystem
    haproxy: HostHAProxy
    unit: HostUnit
    arguments: tuple[Line, ...] = ()
    configurations: Count = 1
    files: tuple[FilePath, ...]
    stand_ins: Mapping[FilePath, StandIn] = {}
    sysctls: Mapping[SysctlName, Line] = {}
    limits: Limits = Limits()
    addresses: tuple[HostAddress, ...] = ()
    left_out: Mapping[Note, Count] = {}
    not_read: tuple[Note, ...] = ()
    not_understood: tuple[Note, ...] = ()


def name_of(host: str, name: str = "") -> str:
    """Return the name under which a host is stored: `name`, or else the host's own.

    Raises UserError if it cannot be the name of a file.
    """
    kept = name or file_name(host.rpartition("@")[2])
    if not name and not re.fullmatch(NAME, kept):
        raise UserError(f"HOST: {quoted(host)} cannot name its copy here. Name that with --as.")
    if not re.fullmatch(NAME, kept):
        raise UserError(
            f"--as: {quoted(kept)} cannot be the name of {brief(host)}: use letters, digits and "
            ".+_-."
        )
    return kept


def copy_of(folder: Path, name: str, path: str) -> Path:
    """Return the place of a copy of a host's file."""
    return folder / name / path.lstrip("/")


def host_names(folder: Path) -> list[str]:
    """Return the names of the captured hosts in `folder`."""
    return sorted(file.stem for file in folder.glob("*.yml"))


def load_host(folder: Path, name: str) -> Host:
    """Read a captured host. Raises UserError naming the file, the entry and the choices."""
    require(name, host_names(folder), "--host")
    file = folder / f"{name}.yml"
    if not re.fullmatch(NAME, name):
        raise UserError(f"{file}: not a valid name for a host: use letters, digits and .+_-.")
    host = load(file, Host)
    for path in (CONFIGURATION, *host.files):
        if not is_there(copy_of(folder, name, path), Path.is_file):
            lack = f"there is no copy of {brief(path)}"
            raise UserError(f"{file}: {lack}; `invoke capture` makes it.")
    return host


def write_host(folder: Path, name: str, source: str, host: Host, files: Mapping[str, str]) -> Path:
    """Write a captured host and the copies of its files, or nothing, in place of an older one.

    Raises UserError if the disk fails.
    """
    file = folder / f"{name}.yml"
    fresh, described = folder / f".{name}.fresh", folder / f".{name}.described"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder / f".{name}.lock", f"captures {name}"):
            shutil.rmtree(fresh, ignore_errors=True)
            for path, text in files.items():
                _write_private(fresh, path.lstrip("/"), text)
            _write_private(folder, described.name, _yaml(host, source))
            # Without its file a host does not exist: it is never half the old, half the new one.
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


def _write_private(folder: Path, path: str, text: str) -> None:
    """Write a file for its owner alone, in folders that are so too."""
    copy = folder / path
    # mkdir(parents=True) gives parents the modes of the umask.
    for each in (*reversed(copy.relative_to(folder).parents), Path()):
        (folder / each).mkdir(mode=0o700, exist_ok=True)
    copy.unlink(missing_ok=True)
    with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode())


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as such."""


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
        "# left_out counts the directives that were not copied; not_read and not_understood list\n"
        f"# problems ({len(host.not_read)} and {len(host.not_understood)}).\n{content}"
    )


def report(host: Host) -> str:
    """Return a summary: what was captured, left out, not read, and not understood."""
    haproxy = f"HAProxy {host.haproxy.version or 'of an unknown version'}"
    package = f"package {host.haproxy.package}" if host.haproxy.package else "not a Debian package"
    kinds = collections.Counter(each.kind for each in host.stand_ins.values())
    lines = [
        f"Linux {host.kernel.release} ({host.kernel.architecture}), "
        f"{host.system.id} {host.system.suite or ''}".rstrip(),
        f"{haproxy} ({package}), reloaded by {host.unit.reload}, "
        f"started with {' '.join(host.arguments) or 'no options'}",
        f"{counted(host.configurations, 'configuration')}, "
        f"{counted(len(host.files) - 1, 'list')} of certificates; files to be made: "
        f"{listed(f'{count} of {kind}' for kind, count in sorted(kinds.items())) or 'none'}",
        f"{counted(len(host.sysctls), 'sysctl')}, {counted(len(host.addresses), 'address')}, "
        f"{counted(len(host.unit.settings), 'setting')} of the unit",
    ]
    counts = [f"{count} {directive}" for directive, count in host.left_out.items()]
    for title, items in (
        ("left out", counts),
        ("not read", host.not_read),
        ("left out though a reload depends on them", host.not_understood),
    ):
        lines.append(f"{title}: {len(items) or 'nothing'}")
        lines += [f"  {item}" for item in items]
    return "\n".join(lines)
