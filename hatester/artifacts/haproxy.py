"""HAProxy builds: a small root tree each, so that any HAProxy runs on any kernel."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pydantic

from hatester.artifacts import cache, haproxy_packages, oci, rootfs
from hatester.artifacts.apt import Archive
from hatester.artifacts.elf import Program, read_program
from hatester.artifacts.rootfs import Content, Root, Tree
from hatester.matrix.models import Build
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import is_there
from hatester.util.text import brief
from hatester.util.versions import matches

log = logging.getLogger(__name__)

RECIPE = 1
"""The way to make a tree of the ingredients of its source. Raise it with a change in this file,
elf.py, disk.py, oci.py (how an image becomes a tree), haproxy_packages.py or
rootfs.py that makes another tree of the same ingredients, or refuses them."""


class _Description(pydantic.BaseModel):
    """The content of `build.json`."""

    version: str


class Source(Protocol):
    """The origin of a build. `ingredients`, as JSON, distinguish its content from any other."""

    @property
    def title(self) -> str: ...

    @property
    def ingredients(self) -> object: ...

    def content(self, scratch: Path) -> Content:
        """Return the content of its tree; `scratch` is for what has to be unpacked."""


@dataclass(frozen=True)
class _Binary:
    """A HAProxy binary of this host, as it was when it was read."""

    title: str
    program: Program

    @property
    def ingredients(self) -> object:
        return self.program.digest

    def content(self, scratch: Path) -> Content:
        return self.program.content


def build_version(archive: Archive, build: Build) -> str:
    """Return the version that a build has, or would have; raises as `make_build` does.

    A build that is not of a suite is made for that.
    """
    if build.suite and not build.packages:
        return haproxy_packages.of_suite(archive, build.suite, build.version).version
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
        haproxy_packages.require_files(build.packages)
    elif build.path:
        _require_file(Path(build.path))
        read_program(Root(Path("/")), build.path, _own_folders())
    elif build.image:
        oci.require_local(build.image)
    elif build.suite:
        haproxy_packages.of_suite(archive(), build.suite, build.version)


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
        rootfs.make_disk(content.members, folder)
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
        return haproxy_packages.on_this_host(archive, build.packages, build.suite)
    if build.path:
        return _Binary(build.path, read_program(Root(Path("/")), build.path, _own_folders()))
    if build.image:
        return oci.fetch(build.image)
    assert build.suite
    return haproxy_packages.of_suite(archive, build.suite, build.version)


def _own_folders() -> list[str]:
    """Return the folders that this process's programs search first (LD_LIBRARY_PATH, ld.so(8))."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [folder for folder in folders if folder.startswith("/")]
