"""A guest like a captured production host, as far as that can be had, and what differs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hatester.artifacts import haproxy_packages
from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel import kit_version
from hatester.capture.host import Host, copy_of, load_host
from hatester.matrix.kernel_spec import flavour_of, is_release
from hatester.matrix.models import NAME, Build, Kernel, Matrix, Setting
from hatester.matrix.plan import Wanted
from hatester.matrix.scenario import ROOT
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError
from hatester.util.text import file_name

_ETC = "/etc/haproxy/"
_OURS = ("-W", "-Ws", "-D", "-db", "-V", "-q")
"""What says how HAProxy runs, which the way of reloading decides."""
_OURS_WITH_VALUES = ("-S", "-x", "-sf", "-st")
_SYSTEM = Kernel.model_fields["system"].default
T = TypeVar("T")


@dataclass(frozen=True)
class Likeness:
    """What is declared and wanted for a host, its configuration, and what differs from it."""

    matrix: Matrix
    wanted: Wanted
    own: Own
    differs: tuple[str, ...]


class _Search:
    """Looks for what a host has; what is not to be had is noted in `differs`."""

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
        self._differ(f"Linux {release} is not to be had; the guest has {kind} of {self.suite}")
        return found or any_one

    def build(self) -> Build:
        """Return the same package of a suite, or else the newest one of the system's suite."""
        version = self.host.haproxy.version or "of a version that is not known"
        if self.host.haproxy.package and self.host.haproxy.version:
            exact = [Build(suite=each, version=version) for each in self._suites]
            if found := self._first(
                exact,
                lambda build: haproxy_packages.of_suite(
                    self.archive, build.suite or "", build.version
                ),
            ):
                return found
        self._differ(
            f"HAProxy {version} is not to be had as a package; the guest has the newest of "
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

    Raises UserError where there is no such host, or its files cannot be read.
    """
    host = load_host(folder, name)
    search = _Search(archive, host)
    kernels = {} if wanted.kernels else {file_name(host.kernel.release): search.kernel()}
    builds = {} if wanted.haproxy else {file_name(host.haproxy.version or name): search.build()}
    if "\n# /" in host.unit.text.partition("\n")[2]:
        search.differs.append("its unit has drop-ins, and the guest's is the package's alone")
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
    return Likeness(matrix, wanted, _own(host, folder, name), tuple(search.differs))


def _setting(host: Host) -> Setting:
    return Setting.model_validate(
        {
            "description": "as the captured host has it",
            "sysctls": dict(host.sysctls),
            "lenient": True,
            "nofile": host.limits.nofile,
            "arguments": _arguments(host.arguments),
        }
    )


def _arguments(given: Iterable[str]) -> tuple[str, ...]:
    """Those that say nothing of how HAProxy is started and reloaded."""
    kept: list[str] = []
    words = iter(given)
    for word in words:
        if word in _OURS_WITH_VALUES:
            next(words, None)
        elif word not in _OURS:
            kept.append(word)
    return tuple(kept)


def _own(host: Host, folder: Path, name: str) -> Own:
    """Its configuration, as one file, with the others that were copied, each at its place."""

    def text(path: str) -> str:
        return copy_of(folder, name, path).read_text(errors="replace")

    files = {
        path.removeprefix(_ETC) if path.startswith(_ETC) else f"{ROOT}{path.lstrip('/')}": text(
            path
        )
        for path in host.files
        if path not in host.configuration
    }
    whole = "\n".join(text(path) for path in host.configuration)
    return Own(whole, whole, files, _addresses(host))


def _addresses(host: Host) -> tuple[str, ...]:
    """Return its addresses, each by itself, so that no route leads to its neighbours."""
    found = (ipaddress.ip_interface(each.address).ip for each in host.addresses)
    return tuple(
        f"{each}/{each.max_prefixlen}"
        for each in dict.fromkeys(found)
        if not (each.is_loopback or each.is_link_local)
    )
