"""Debian packages as the source of a tree: HAProxy's, and the libraries that it depends on.

Both are just as its users get them.
"""

from __future__ import annotations

import glob
import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatester.artifacts.apt import Archive, Package, required_version
from hatester.artifacts.deb import BROKEN, bounded, read_deb
from hatester.artifacts.elf import version_of
from hatester.artifacts.rootfs import BINARY, Content, Member, merged
from hatester.util.errors import MeasurementError
from hatester.util.paths import is_there

PACKAGE = "haproxy"
LIBRARIES = "bookworm"
"""The suite that has what local packages depend on, where none is named: that of the guests."""
_LIBRARY = re.compile(r"^usr/lib(?:64)?/(?:[^/]+-linux-gnu/)?[^/]+\.so(?:\.[^/]*)?$")
_NEEDLESS = re.compile(r"^usr/(?:share/(?:doc|man|lintian|bug|vim|locale)|lib/debug)/")
_TOOLS = {"procps": "usr/bin/kill"}
"""Programs that the packaged unit runs beside HAProxy, by the package that has them."""


@dataclass(frozen=True)
class SuitePackages:
    """HAProxy's package in a suite, with all packages that a tree is made of."""

    archive: Archive
    suite: str
    version: str
    packages: Sequence[Package]

    @property
    def title(self) -> str:
        return f"HAProxy {self.version} of suite {self.suite}"

    @property
    def ingredients(self) -> object:
        return _ingredients(self.packages)

    def content(self, scratch: Path) -> Content:
        files = self.archive.download(self.suite, list(self.packages), scratch / "packages")
        own = [file for file in files if file.name.startswith(f"{PACKAGE}_")]
        return Content(self.version, _members(files, own))


def of_suite(archive: Archive, suite: str, version: str | None) -> SuitePackages:
    """Find HAProxy in a suite, in a version that begins with `version`.

    One with a revision is taken exactly, even where the suite has another, newer one.

    Raises MeasurementError when the suite has no such HAProxy.
    """
    wanted = f"{PACKAGE}={version}" if version and "-" in version else PACKAGE
    packages = archive.resolve(suite, wanted, *_TOOLS)
    return SuitePackages(
        archive, suite, required_version(suite, packages, PACKAGE, version), packages
    )


@dataclass(frozen=True)
class LocalPackages:
    """Packages of this host by their names, with those of a suite that they depend on.

    They are held as they were read, since they can change at any time.
    """

    archive: Archive
    suite: str
    given: Sequence[tuple[str, bytes]]
    packages: Sequence[Package]

    @property
    def title(self) -> str:
        return ", ".join(name for name, _ in self.given)

    @property
    def ingredients(self) -> object:
        given = [hashlib.sha256(content).hexdigest() for _, content in self.given]
        return given, _ingredients(self.packages)

    def content(self, scratch: Path) -> Content:
        files = self.archive.download(self.suite, list(self.packages), scratch / "packages")
        given = []
        for number, (name, content) in enumerate(self.given):
            given.append(scratch / f"{number}-{name}")
            given[-1].write_bytes(content)
        return Content(_version(given), _members([*given, *files], given))


def on_this_host(archive: Archive, patterns: Sequence[str], suite: str | None) -> LocalPackages:
    """Read the packages whose files `patterns` match.

    Raises MeasurementError for a pattern of no file, and when `suite` lacks something that they
    depend on.
    """
    files = [file for pattern in patterns for file in _glob(pattern)]
    try:
        given = [(file.name, file.read_bytes()) for file in files]
    except OSError as error:
        raise MeasurementError(f"{error.filename} cannot be read: {error.strerror}") from error
    suite = suite or LIBRARIES
    return LocalPackages(archive, suite, given, archive.resolve_files(suite, files, *_TOOLS))


def require_files(patterns: Sequence[str]) -> None:
    """Raise MeasurementError for a pattern of no file, and for a file that is not a package."""
    for file in (file for pattern in patterns for file in _glob(pattern)):
        if not is_there(file, Path.is_file):
            raise MeasurementError(f"{file} is not a regular file")
        read_deb(file)


def _glob(pattern: str) -> list[Path]:
    """Return the files that an absolute path with wildcards matches."""
    named = Path(pattern)
    # Path.glob is for patterns below a folder.
    files = [named] if is_there(named) else [Path(p) for p in sorted(glob.iglob(pattern))]  # noqa: PTH207
    if not files:
        raise MeasurementError(f"{pattern} is missing")
    return files


def _ingredients(packages: Sequence[Package]) -> object:
    return [(package.name, package.version, package.sha256) for package in packages]


def _version(packages: Sequence[Path]) -> str:
    """Return the version that the HAProxy in one of these packages reports.

    The version of a package that was not made by Debian may be another.
    """
    for package in packages:
        for member, content in _installed_members(package):
            if member.name == BINARY and content:
                return version_of(content.read(), f"/{BINARY} of {package.name}")
    raise MeasurementError(f"none of the packages has a /{BINARY}")


def _members(packages: Sequence[Path], own: Container[Path]) -> Iterator[Member]:
    """Yield the members of a tree: all of HAProxy's `own` packages, the libraries of the others."""
    for package in packages:
        tool = _TOOLS.get(package.name.partition("_")[0])
        for member, content in _installed_members(package):
            if package in own:
                is_wanted = not _NEEDLESS.match(member.name)
            else:
                is_wanted = member.name == tool or bool(_LIBRARY.match(member.name))
            if is_wanted:
                yield member, content


def _installed_members(package: Path) -> Iterator[Member]:
    """Yield what a package installs, by the names of a merged /usr and without directories."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in bounded(members):
                    member.name = merged(member.name)
                    if member.islnk():
                        member.linkname = merged(member.linkname)
                    # Read here, where it is known what to say of a package that breaks off.
                    is_file = member.isfile() and not member.issparse()
                    content = members.extractfile(member) if is_file else None
                    if not member.isdir():
                        yield member, content and io.BytesIO(content.read())
        except BROKEN as error:
            raise MeasurementError(f"{package.name} cannot be unpacked: {error}") from error
    if process.returncode:
        raise MeasurementError(f"{package.name} cannot be unpacked")
