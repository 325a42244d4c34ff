"""HAProxy builds: a small root tree each, so that any HAProxy runs on any kernel.

The tree has HAProxy's package as it is, and of the packages that it depends on the shared
libraries, just as its users get them. It is kept as a disk that guests mount read-only, so that
nothing a cell does can change it, and another build costs a guest nothing.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hatester import cache, disks
from hatester.archive import Archive, Package, required_version
from hatester.errors import MeasurementError
from hatester.matrix import Build
from hatester.progress import Say

PACKAGE = "haproxy"
BINARY = "usr/sbin/haproxy"
_MERGED = re.compile(r"^(?:lib|lib64|bin|sbin)(?=/|$)")
_LIBRARY = re.compile(r"^usr/lib(?:64)?/(?:[^/]+-linux-gnu/)?[^/]+\.so(?:\.[^/]*)?$")
_NEEDLESS = re.compile(r"^usr/share/(?:doc|man|lintian|bug|vim|locale)/")
_TOOLS = {"procps": "usr/bin/kill"}
"""What the packaged unit runs beside HAProxy, by the package that has it."""
_FOLDERS = ("dev", "proc", "sys", "tmp", "run/haproxy", "var/lib/haproxy", "etc/haproxy")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nhaproxy:x:100:100::/var/lib/haproxy:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\nhaproxy:x:100:\n"


@dataclass(frozen=True)
class Tree:
    """A build that is there: its package version, and the disk with its tree."""

    version: str
    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "tree.ext4"

    @property
    def serial(self) -> str:
        """Which disk it is in a guest: 20 bytes at most (VIRTIO_BLK_ID_BYTES of virtio_blk.h)."""
        return self.folder.name


def build_version(archive: Archive, build: Build) -> str:
    """The package version that a build has, or would have; raises as `make_build` does."""
    return _resolve(archive, build)[0]


def _resolve(archive: Archive, build: Build) -> tuple[str, list[Package]]:
    """The version of HAProxy's package, and all packages that a tree is made of."""
    packages = archive.resolve(build.suite, PACKAGE, *_TOOLS)
    return required_version(build.suite, packages, PACKAGE, build.version), packages


def make_build(archive: Archive, build: Build, say: Say) -> Tree:
    """The tree of a build, made now if the cache has none.

    Raises MeasurementError when its suite has no such HAProxy, and UserError without network.
    """
    version, packages = _resolve(archive, build)
    ingredients = [(p.name, p.version, p.sha256) for p in packages]

    def make(folder: Path) -> None:
        say(f"making the build of HAProxy {version} ({build.suite})")
        _make(archive, build.suite, packages, folder)
        (folder / "build.json").write_text(json.dumps({"version": version}))

    recipe = [Path(__file__), Path(disks.__file__)]
    folder = cache.entry("builds", cache.digest(ingredients, recipe), make)
    return Tree(folder=folder, **json.loads((folder / "build.json").read_text()))


def _make(archive: Archive, suite: str, packages: list[Package], folder: Path) -> None:
    files = archive.download(suite, packages, folder / "packages")
    packed = folder / "tree.tar"
    with tarfile.open(packed, "w") as tree:
        _add_skeleton(tree)
        added: set[str] = set()
        for file in files:
            package = file.name.partition("_")[0]
            for member, content in _members(file):
                if member.name in added or not _is_wanted(member.name, package):
                    continue
                added.add(member.name)
                tree.addfile(member, content)
        size = disks.enough(member.size for member in tree.getmembers())
    if BINARY not in added:
        raise MeasurementError(f"the {PACKAGE} package of suite {suite} has no /{BINARY}")
    disks.make_ext4_from_tar(packed, folder / "tree.ext4", size, *disks.READ_ONLY)
    packed.unlink()
    shutil.rmtree(folder / "packages")


def _add_skeleton(tree: tarfile.TarFile) -> None:
    """What a root tree has that is in none of the packages."""
    for name in ("lib", "lib64", "bin", "sbin"):
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
        tree.addfile(link)
    for name in _FOLDERS:
        directory = tarfile.TarInfo(name)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tree.addfile(directory)
    for name, text in (("etc/passwd", _PASSWD), ("etc/group", _GROUP)):
        file = tarfile.TarInfo(name)
        file.size, file.mode = len(text), 0o644
        tree.addfile(file, io.BytesIO(text.encode()))


def _members(package: Path) -> Iterator[tuple[tarfile.TarInfo, io.BufferedReader | None]]:
    """What a Debian package installs, by the names of a merged /usr and without directories."""
    with (
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
        ) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as members,
    ):
        for member in members:
            member.name = _MERGED.sub(r"usr/\g<0>", posixpath.normpath(member.name))
            if member.islnk():
                member.linkname = _MERGED.sub(r"usr/\g<0>", posixpath.normpath(member.linkname))
            if not member.isdir():
                content = members.extractfile(member) if member.isfile() else None
                yield member, content  # type: ignore[misc]  # typeshed has IO[bytes]
    if process.returncode:
        raise MeasurementError(f"{package.name} cannot be unpacked")


def _is_wanted(name: str, package: str) -> bool:
    if package == PACKAGE:
        return not _NEEDLESS.match(name)
    return _TOOLS.get(package) == name or _LIBRARY.match(name) is not None
