"""A guest like a captured production host, as far as that can be had, and what differs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hatester.artifacts import haproxy
from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel import kit_version
from hatester.capture.captured_host import CONFIGURATION, Host, copy_of, load_host
from hatester.capture.stand_ins import Maker
from hatester.matrix.declarations import NAME, Build, Kernel, Matrix, Setting
from hatester.matrix.kernel_spec import flavour_of, is_release
from hatester.matrix.plan import Wanted
from hatester.matrix.scenario import ROOT
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError
from hatester.util.pem import LookAlikes
from hatester.util.text import file_name
from hatester.util.validation import text_of

_ETC = "/etc/haproxy/"
_OURS = ("-W", "-Ws", "-D", "-db", "-V", "-q")
"""Arguments that the reload method decides."""
_NOFILE = "LimitNOFILE"
_UNIT = "systemd"
_SYSTEM = Kernel.model_fields["system"].default
T = TypeVar("T")


@dataclass(frozen=True)
class Likeness:
    """The declarations and the selection for a host, its configuration, and the differences."""

    matrix: Matrix
    wanted: Wanted
    own: Own
    differs: tuple[str, ...]


class _Search:
    """A search for a host's kernel and HAProxy; differences are noted in `differs`."""

    def __init__(self, archive: Archive, host: Host) -> None:
        self.archive = archive
        self.host = host
        self.differs: list[str] = []
        self.suite = _SYSTEM
        if host.system.id == "debian" and host.system.suite:
            self.suite = host.system.suite
        else:
            self._differ(f"its system is {host.system.id}, and the guest's is Debian {self.suite}")
        if host.kernel.architecture != "amd64":
            self._differ(f"it is {host.kernel.architecture}, and the guest amd64")

    def _differ(self, what: str) -> None:
        self.differs.append(what)

    @property
    def _suites(self) -> tuple[str, str]:
        return self.suite, f"{self.suite}-backports"

    def kernel(self) -> Kernel:
        """Return the same kernel, of a suite or the snapshot archive, or else a similar one."""
        release = self.host.kernel.release
        if is_release(release) and re.fullmatch(NAME, release):
            exact = [Kernel(suite=s, version=release, system=self.suite) for s in self._suites]
            if self.archive.mirrors.snapshot:
                exact.append(Kernel(snapshot=release, system=self.suite))
            if found := self._first(exact, lambda kernel: kit_version(self.archive, kernel)):
                return found
        series = ".".join(re.findall(r"\d+", release)[:2])
        flavour = flavour_of(release) if is_release(release) else "generic"
        close = Kernel(suite=self.suite, version=series, flavour=flavour, system=self.suite)
        any_one = Kernel(suite=self.suite, flavour=flavour, system=self.suite)
        found = self._first([close], lambda kernel: kit_version(self.archive, kernel))
        kind = f"the newest {series}" if found else "the newest kernel"
        self._differ(f"Linux {release} is not available; the guest has {kind} of {self.suite}")
        return found or any_one

    def build(self) -> Build:
        """Return the same package of a suite, or else the newest one of the system's suite."""
        version = self.host.haproxy.version or "of a version that is not known"
        if self.host.haproxy.package and self.host.haproxy.version:
            exact = [Build(suite=each, version=version) for each in self._suites]
            if found := self._first(
                exact,
                lambda build: haproxy.of_suite(self.archive, build.suite or "", build.version),
            ):
                return found
        self._differ(
            f"HAProxy {version} is not available as a package; the guest has the newest of "
            f"{self.suite}"
        )
        return Build(suite=self.suite)

    def _first(self, choices: Iterable[T], ask: Callable[[T], object]) -> T | None:
        """Return the first choice that exists."""
        for choice in choices:
            try:
                ask(choice)
            except MeasurementError:
                continue
            return choice
        return None


def likeness(
    declared: Matrix, wanted: Wanted, folder: Path, name: str, archive: Archive
) -> Likeness:
    """Return a guest like a captured host; what else is wanted replaces the host's own.

    Raises UserError if there is no such host, or its files cannot be read.
    """
    host = load_host(folder, name)
    search = _Search(archive, host)
    kernels = {} if wanted.kernels else {file_name(host.kernel.release): search.kernel()}
    builds = {} if wanted.haproxy else {file_name(host.haproxy.version or name): search.build()}
    matrix = replace(
        declared,
        kernels={**declared.kernels, **kernels},
        builds={**declared.builds, **builds},
        settings={**declared.settings, name: _setting(host)},
    )
    wanted = replace(
        wanted,
        kernels=wanted.kernels or [*kernels],
        haproxy=wanted.haproxy or [*builds],
        settings=wanted.settings or [name],
        methods=wanted.methods or [host.unit.reload],
    )
    if host.unit.settings.keys() - {_NOFILE} and any(each != _UNIT for each in wanted.methods):
        search.differs.append("the settings of its unit hold only for reloads by systemd")
    return Likeness(matrix, wanted, own_of(host, folder, name), tuple(search.differs))


def _setting(host: Host) -> Setting:
    """Return the sysctls, limits and arguments of a host as a setting."""
    return Setting.model_validate(
        {
            "description": "as the captured host has it",
            "sysctls": dict(host.sysctls),
            "lenient": True,
            "nofile": host.limits.nofile,
            "unit": {name: each for name, each in host.unit.settings.items() if name != _NOFILE},
            "arguments": _arguments(host.arguments),
        }
    )


def _arguments(words: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments that do not decide how HAProxy is started and reloaded."""
    return tuple(word for word in words if word not in _OURS)


def own_of(host: Host, folder: Path, name: str) -> Own:
    """Return the copy of the host's configuration, with the files that it names."""
    look_alikes = LookAlikes()
    maker = Maker(look_alikes)
    texts = {path: text_of(copy_of(folder, name, path)) for path in host.files}
    texts |= {path: maker.content(path, each) for path, each in host.stand_ins.items()}
    whole = texts.pop(CONFIGURATION)
    files = {
        path.removeprefix(_ETC) if path.startswith(_ETC) else f"{ROOT}{path.lstrip('/')}": text
        for path, text in texts.items()
    }
    return Own(whole, whole, files, _addresses(host), look_alikes=look_alikes)


def _addresses(host: Host) -> tuple[str, ...]:
    """Return its addresses, each by itself, so that no route leads to its neighbours."""
    found = (ipaddress.ip_interface(each.address).ip for each in host.addresses)
    return tuple(
        f"{each}/{each.max_prefixlen}"
        for each in dict.fromkeys(found)
        if not (each.is_loopback or each.is_link_local)
    )
