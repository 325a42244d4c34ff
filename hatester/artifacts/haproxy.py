"""HAProxy builds: a small root tree each, so that any HAProxy runs on any kernel.

The sources are Debian packages, with the libraries that they depend on, just as their users get
them; binaries of this host; and images (oci.py).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import pydantic

from hatester.artifacts import cache, oci
from hatester.artifacts.apt import Archive, Package, required_version
from hatester.artifacts.deb import installed_members, read_deb
from hatester.artifacts.disk import BINARY, Content, Member, Source, Tree, make_tree
from hatester.artifacts.haproxy_binary import Root, read_program, version_of
from hatester.matrix.declarations import Build
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import is_there, matches_of
from hatester.util.text import brief
from hatester.util.versions import matches

log = logging.getLogger(__name__)

RECIPE = 1
"""The way to make a tree of the ingredients of its source. Raise it with a change in this file,
haproxy_binary.py, deb.py, disk.py or oci.py (how an image becomes a tree) that makes another tree
of the same ingredients, or refuses them."""
PACKAGE = "haproxy"
LIBRARIES = "bookworm"
"""The suite that has what local packages depend on, where none is named: that of the guests."""
_LIBRARY = re.compile(r"^usr/lib(?:64)?/(?:[^/]+-linux-gnu/)?[^/]+\.so(?:\.[^/]*)?$")
_NEEDLESS = re.compile(r"^usr/(?:share/(?:doc|man|lintian|bug|vim|locale)|lib/debug)/")
_TOOLS = {"procps": "usr/bin/kill"}
"""Programs that the packaged unit runs beside HAProxy, by the package that has them."""


class _Description(pydantic.BaseModel):
    """The content of `build.json`."""

    version: str


def of_suite(archive: Archive, suite: str, version: str | None) -> tuple[str, list[Package]]:
    """Find HAProxy in a suite, in a version that begins with `version`.

    One with a revision is taken exactly, even where the suite has another, newer one. Returns its
    version, and all packages that a tree is made of. Raises MeasurementError when the suite has no
    such HAProxy.
    """
    wanted = f"{PACKAGE}={version}" if version and "-" in version else PACKAGE
    packages = archive.resolve(suite, wanted, *_TOOLS)
    return required_version(suite, packages, PACKAGE, version), packages


def build_version(archive: Archive, build: Build) -> str:
    """Return the version that a build has, or would have; raises as `make_build` does.

    A build that is not of a suite is made for that.
    """
    if build.suite and not build.packages:
        return of_suite(archive, build.suite, build.version)[0]
    return make_build(archive, build).version


def require_builds(archive: Callable[[], Archive], builds: Mapping[str, Build]) -> None:
    """Raise UserError for a build that cannot be had, as far as that is known beforehand.

    Builds are by the words that describe them. A suite asks the mirror; nothing is made, and no
    registry is asked.
    """
    for word, build in builds.items():
        try:
            _require(archive, build)
        except MeasurementError as error:
            raise UserError(f"--haproxy {brief(word)}: {error}.") from error


def _require(archive: Callable[[], Archive], build: Build) -> None:
    if build.packages:
        _require_packages(build.packages)
    elif build.path:
        _require_file(Path(build.path))
        read_program(Root(Path("/")), build.path, _own_folders())
    elif build.image:
        oci.require_local(build.image)
    elif build.suite:
        of_suite(archive(), build.suite, build.version)


def _require_packages(patterns: Sequence[str]) -> None:
    """Raise MeasurementError for a pattern of no file, and for a file that is not a package."""
    for file in _files(patterns):
        if not is_there(file, Path.is_file):
            raise MeasurementError(f"{file} is not a regular file")
        read_deb(file)


def _require_file(path: Path) -> None:
    if not is_there(path, Path.is_file):
        raise MeasurementError("it is a folder" if path.is_dir() else "it is not a regular file")
    if not path.stat().st_size:
        raise MeasurementError("it is empty")


def make_build(archive: Archive, build: Build) -> Tree:
    """Return the tree of a build, making it now if the cache has none.

    Raises MeasurementError when there is no such HAProxy, and UserError without network.
    """
    source = _source(archive, build)

    def make(folder: Path) -> None:
        log.info(f"making the build of {source.title}")
        scratch = folder / "scratch"
        scratch.mkdir()
        content = source.content(scratch)
        make_tree(content.members, folder)
        shutil.rmtree(scratch)
        (folder / "build.json").write_text(_Description(version=content.version).model_dump_json())

    name = cache.digest(RECIPE, source.ingredients)
    try:
        folder = cache.entry("builds", name, make)
    except MeasurementError as error:
        raise MeasurementError(f"{source.title}: {error}") from error
    tree = Tree(cache.read_description(folder, "build.json", _Description).version, folder)
    if not matches(tree.version, build.version):
        raise MeasurementError(f"{source.title} is HAProxy {tree.version}, not {build.version}")
    return tree


def _source(archive: Archive, build: Build) -> Source:
    if build.packages:
        return local_packages(archive, build.packages, build.suite)
    if build.path:
        program = read_program(Root(Path("/")), build.path, _own_folders())
        return Source(build.path, program.digest, lambda _: program.content)
    if build.image:
        return oci.fetch(build.image)
    assert build.suite
    return _suite_packages(archive, build.suite, build.version)


def _suite_packages(archive: Archive, suite: str, beginning: str | None) -> Source:
    version, packages = of_suite(archive, suite, beginning)

    def content(scratch: Path) -> Content:
        files = archive.download(suite, packages, scratch / "packages")
        own = [file for file in files if file.name.startswith(f"{PACKAGE}_")]
        return Content(version, _members(files, own))

    return Source(f"HAProxy {version} of suite {suite}", list(map(astuple, packages)), content)


def local_packages(archive: Archive, patterns: Sequence[str], suite: str | None) -> Source:
    """Read the packages whose files `patterns` match, since these can change at any time.

    Raises MeasurementError for a pattern of no file, and when `suite` lacks something that they
    depend on.
    """
    files = _files(patterns)
    try:
        given = [(file.name, file.read_bytes()) for file in files]
    except OSError as error:
        raise MeasurementError(f"{error.filename} cannot be read: {error.strerror}") from error
    libraries = suite or LIBRARIES
    packages = archive.resolve_files(libraries, files, *_TOOLS)

    def content(scratch: Path) -> Content:
        others = archive.download(libraries, packages, scratch / "packages")
        own = []
        for number, (name, data) in enumerate(given):
            own.append(scratch / f"{number}-{name}")
            own[-1].write_bytes(data)
        return Content(_version(own), _members([*own, *others], own))

    digests = [hashlib.sha256(data).hexdigest() for _, data in given]
    title = ", ".join(name for name, _ in given)
    return Source(title, (digests, list(map(astuple, packages))), content)


def _files(patterns: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for pattern in patterns:
        if not (found := matches_of(Path(pattern))):
            raise MeasurementError(f"{pattern} is missing")
        files += found
    return files


def _version(packages: Sequence[Path]) -> str:
    """Return the version that the HAProxy in one of these packages reports.

    The version of a package that was not made by Debian may be another.
    """
    for package in packages:
        for member, content in installed_members(package):
            if member.name == BINARY and content:
                return version_of(content.read(), f"/{BINARY} of {package.name}")
    raise MeasurementError(f"none of the packages has a /{BINARY}")


def _members(packages: Sequence[Path], own: Container[Path]) -> Iterator[Member]:
    """Yield the members of a tree: all of HAProxy's `own` packages, the libraries of the others."""
    for package in packages:
        tool = _TOOLS.get(package.name.partition("_")[0])
        for member, content in installed_members(package):
            if package in own:
                is_wanted = not _NEEDLESS.match(member.name)
            else:
                is_wanted = member.name == tool or bool(_LIBRARY.match(member.name))
            if is_wanted:
                yield member, content


def _own_folders() -> list[str]:
    """Return the folders that this process's programs search first (LD_LIBRARY_PATH, ld.so(8))."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [folder for folder in folders if folder.startswith("/")]
