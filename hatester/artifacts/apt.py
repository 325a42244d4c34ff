"""Debian's archive: the packages of a suite, and their files.

apt downloads and verifies them, with lists, state and sources of its own in the cache. It needs no
root and changes nothing of the host's, and it can ask any suite, whatever the host runs.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from hatester.artifacts import cache
from hatester.artifacts.manifest import Manifest
from hatester.artifacts.mirrors import Mirrors, find_mirrors
from hatester.util import jsonfile, process
from hatester.util.errors import MeasurementError, UserError, tail
from hatester.util.files import remove, usable, write_whole
from hatester.util.jsonfile import Damaged
from hatester.util.locks import locked
from hatester.util.text import quoted
from hatester.util.versions import matches

log = logging.getLogger(__name__)

T = TypeVar("T")

RECIPE = 1
"""The form of package lists, and of apt's answers by them. Raise it with a change in this file
that gives other lists or answers, or another form of them. All lists are fetched again then."""
APT_SECONDS = 600.0
_LISTS = ".lists.json"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Package:
    """One package file, by the name, version and SHA-256 that the signed lists give."""

    name: str
    version: str
    sha256: str


_PACKAGES = pydantic.TypeAdapter(list[Package])
_VERSIONS = pydantic.TypeAdapter(list[tuple[str, str]])


def base_suite(suite: str) -> str | None:
    """Return the suite without which `suite` is incomplete; None if there is none."""
    if suite == "experimental":
        return "sid"
    for pocket in ("-backports-sloppy", "-backports", "-security", "-updates", "-proposed-updates"):
        if suite.endswith(pocket):
            return suite.removesuffix(pocket)
    return None


def _with_base(suite: str) -> list[str]:
    base = base_suite(suite)
    return [base, suite] if base else [suite]


class Archive:
    """Debian's archive at some mirrors, with its lists in the cache.

    The lists of a suite are fetched when it is first asked, and again by `refresh`. Artifacts that
    were made from them stay in use until the user wants newer ones.
    """

    def __init__(self, mirrors: Mirrors, architecture: str = "amd64") -> None:
        self.mirrors = mirrors
        self.architecture = architecture
        self._root = cache.subfolder("apt", cache.digest(RECIPE, [str(mirrors), architecture]))
        self._configured: set[str] = set()

    def sources(self, suite: str) -> str:
        """Return the sources.list(5) of a suite and its base."""
        lines = []
        for name in _with_base(suite):
            uri = self.mirrors.security if name.endswith("-security") else self.mirrors.main
            lines.append(f"deb [signed-by={KEYRING}] {uri} {name} main\n")
        return "".join(lines)

    def refresh(self, suite: str) -> None:
        """Fetch the lists of a suite.

        Raises MeasurementError when the mirror has no such suite, and UserError when the mirror
        cannot be reached.
        """
        with usable(self._root), self._lock():
            self._fetch_lists(suite)

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self._root / "lock", "fetches package lists")

    def _fetch_lists(self, suite: str) -> None:
        for lists in self._lists(suite):
            _are_whole(lists)
        try:
            self._apt(suite, "apt-get", "-q", "update")
        except process.CommandError as error:
            if "does not have a Release file" in error.output:
                raise MeasurementError(
                    f"the mirror {self.mirrors.main} has no suite {suite}"
                ) from error
            raise UserError(
                f"The package lists of Debian's suite {suite} cannot be fetched: "
                f"{_reason(error.output)}."
            ) from error
        for lists in self._lists(suite):
            lists.write()
        self._stamp(suite).touch()

    def resolve(self, suite: str, *packages: str) -> list[Package]:
        """Return `packages` and all that they depend on, in the versions that the suite has.

        Raises MeasurementError when the suite lacks one, or something that it depends on.
        """
        name = cache.digest(RECIPE, packages)
        return self._known(suite, name, _PACKAGES, lambda: self._solve(suite, packages))

    def resolve_files(self, suite: str, files: Sequence[Path], *packages: str) -> list[Package]:
        """Return the packages that `files` of this host depend on, and `packages`, in a suite.

        Raises MeasurementError when the suite lacks some of it.
        """
        self._have_lists(suite)
        return self._solve(suite, [*map(str, files), *packages])

    def _have_lists(self, suite: str) -> None:
        """Fetch the lists of a suite if there are none, or they are damaged."""
        with usable(self._root):
            cache.use(self._root)
            if not self._has_lists(suite, Manifest.is_untouched):
                with self._lock():
                    # Another thread may have fetched them meanwhile.
                    if not self._has_lists(suite, _are_whole):
                        self._fetch_lists(suite)

    def _has_lists(self, suite: str, test: Callable[[Manifest], bool]) -> bool:
        return self._stamp(suite).exists() and all(map(test, self._lists(suite)))

    def _lists(self, suite: str) -> list[Manifest]:
        """Return the manifests of a suite's lists and its base's, among the lists of all suites."""
        # apt names lists by their URL (URItoFileName of apt-pkg/contrib/strutl.cc).
        return [
            Manifest(self._root / f"{name}{_LISTS}", self._root / "lists", f"*_dists_{name}_*")
            for name in _with_base(suite)
        ]

    def _known(
        self, suite: str, name: str, form: pydantic.TypeAdapter[list[T]], ask: Callable[[], list[T]]
    ) -> list[T]:
        """Return the stored answer to a question about a suite's lists, or ask now and store it."""
        known = cache.use(self._root) / f"{suite}.{name}.json"
        answer = jsonfile.recall(known, form) if _is_as_new(known, self._stamp(suite)) else None
        if answer is None:
            self._have_lists(suite)
            answer = ask()
            jsonfile.write(known, form.dump_python(answer))
        return answer

    def _solve(self, suite: str, packages: Sequence[str]) -> list[Package]:
        try:
            lines = self._apt(
                suite, "apt-get", "-q", "-y", "--no-install-recommends", "--print-uris",
                "-o", "Acquire::ForceHash=SHA256", "-t", suite, "install", *packages,
            ).splitlines()  # fmt: skip
        except process.CommandError as error:
            raise MeasurementError(
                f"suite {suite} has no installable {' '.join(packages)}: {_reason(error.output)}"
            ) from error
        # 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:CHECKSUM; of a file on this host, apt has
        # no checksum.
        files = (line.split() for line in lines if line.startswith("'"))
        return [_package(file[1], file[3]) for file in files if len(file) == 4]

    def versions(self, suite: str, beginning: str) -> list[tuple[str, str]]:
        """Return the packages of a suite whose names begin so, each with its version.

        Its base is left out. Raises as `refresh` does.
        """
        return self._known(suite, beginning, _VERSIONS, lambda: self._list(suite, beginning))

    def _list(self, suite: str, beginning: str) -> list[tuple[str, str]]:
        names = self._apt(suite, "apt-cache", "pkgnames", beginning).split()
        if not names:
            return []
        # NAME | VERSION | URI SUITE/COMPONENT ARCHITECTURE Packages
        lines = self._apt(suite, "apt-cache", "madison", *names).splitlines()
        rows = ([cell.strip() for cell in line.split("|")] for line in lines)
        return sorted(
            (name, version)
            for name, version, source in rows
            if f" {suite}/main " in source and source.endswith(" Packages")
        )

    def download(self, suite: str, packages: list[Package], folder: Path) -> list[Path]:
        """Fetch the files of packages, verified by apt, into a new `folder`.

        Raises MeasurementError when the mirror does not have them any more, and UserError when it
        cannot be reached.
        """
        self._have_lists(suite)
        folder.mkdir()
        wanted = [f"{package.name}={package.version}" for package in packages]
        try:
            self._apt(suite, "apt-get", "-q", "download", *wanted, cwd=folder)
        except process.CommandError as error:
            reason = _reason(error.output)
            if "404" in error.output:
                raise MeasurementError(
                    f"suite {suite} has moved on ({reason}); --refresh of `make-images` and "
                    "`make-builds` takes what is there now"
                ) from error
            raise UserError(
                f"Packages of Debian's suite {suite} cannot be fetched: {reason}."
            ) from error
        return sorted(folder.glob("*.deb"))

    def require_reachable(self) -> None:
        """Raise UserError when the mirror cannot be reached. Changes nothing that is in use."""
        suite = "stable"
        with tempfile.TemporaryDirectory() as folder:
            uri = f"{self.mirrors.main}/dists/{suite}/Release"
            try:
                self._apt(
                    suite, "/usr/lib/apt/apt-helper", "download-file", uri, f"{folder}/Release"
                )
            except process.CommandError as error:
                raise UserError(f"{uri} cannot be fetched: {_reason(error.output)}") from error

    def _stamp(self, suite: str) -> Path:
        return self._root / f"{suite}.fetched"

    def _configure(self, suite: str) -> None:
        """Write apt.conf(5) and sources.list(5) for a suite; the lists of all suites are shared."""
        for name in ("lists", "archives"):
            cache.subfolder("apt", self._root.name, name, "partial")
        write_whole(self._root / "status", "")
        write_whole(self._root / f"{suite}.list", self.sources(suite))
        own = {
            "Dir::State": self._root,
            "Dir::State::Lists": self._root / "lists",
            "Dir::State::Status": self._root / "status",
            "Dir::Cache": self._root,
            "Dir::Cache::Archives": self._root / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::SourceList": self._root / f"{suite}.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Parts": "/dev/null",
            "Dir::Etc::Main": "/dev/null",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "",
            "APT::Get::List-Cleanup": "false",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            # Archived suites are past the date until which their lists were valid.
            "Acquire::Check-Valid-Until": "false",
        }
        if re.search('["\n\udc80-\udcff]', str(self._root)):
            raise UserError(
                f"{quoted(str(self._root))}: apt knows no folder with a quotation mark, an end of "
                "a line, or bytes that are not UTF-8 in its path."
            )
        lines = [f'{key} "{value}";\n' for key, value in own.items()]
        write_whole(self._root / f"{suite}.conf", "".join(lines) + _host_proxies())

    def _apt(self, suite: str, *command: str, cwd: Path | None = None) -> str:
        # Once in each process: where its configuration is missing, apt would take the host's.
        if suite not in self._configured:
            with usable(self._root):
                self._configure(suite)
            self._configured.add(suite)
        configuration = {"APT_CONFIG": str(self._root / f"{suite}.conf")}
        return process.run(command, seconds=APT_SECONDS, env=configuration, cwd=cwd)


def _are_whole(lists: Manifest) -> bool:
    """Return True if lists are what was fetched; otherwise delete them, and log it.

    apt does not notice damage: from a truncated list it reads the packages before the cut. It does
    not fetch a list again while the mirror has nothing newer. To be called by one at a time.
    """
    try:
        lists.verify()
    except Damaged as error:
        gone = [lists.file, *lists.folder.glob(lists.pattern)]
        if any(path.exists() for path in gone):
            log.warning(
                f"{lists.folder} is not what was fetched: {error}; what it has of "
                f"{lists.file.name.removesuffix(_LISTS)} is thrown away, and fetched again"
            )
        for path in gone:
            remove(path)
        return False
    return True


def _is_as_new(known: Path, fetched: Path) -> bool:
    try:
        return known.stat().st_mtime >= fetched.stat().st_mtime
    except FileNotFoundError:
        return False


def _host_proxies() -> str:
    """Return how the host's apt reaches the network, as apt.conf(5)."""
    settings = process.run(["apt-config", "dump"], seconds=APT_SECONDS)
    return "".join(
        line + "\n"
        for line in settings.splitlines()
        if line.lower().startswith(("acquire::http", "acquire::https"))
    )


def _package(file: str, checksum: str) -> Package:
    name, version, _ = file.replace("%3a", ":").split("_")
    return Package(name, version, checksum.removeprefix("SHA256:"))


def _reason(output: str) -> str:
    """Return the reason that apt gave, in one line."""
    reasons = [line[3:] for line in output.splitlines() if line.startswith("E: ")]
    return reasons[0].rstrip(".") if reasons else tail(output, 1)


def required_version(suite: str, packages: list[Package], name: str, beginning: str | None) -> str:
    """Return the version of the package `name` among `packages`.

    Raises MeasurementError when it does not begin with `beginning`.
    """
    version = next(package.version for package in packages if package.name == name)
    if not matches(version, beginning):
        raise MeasurementError(f"suite {suite} has {name} {version}, not {beginning}")
    return version


def debian(settings: Any) -> Archive:
    """Return Debian's archive, at the mirrors that `invoke.yaml`'s settings or the host name."""
    return Archive(
        find_mirrors(settings.mirror, settings.security_mirror, settings.snapshot_archive)
    )
