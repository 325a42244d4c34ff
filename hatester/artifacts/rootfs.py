"""Root trees: read from a folder such as an unpacked image's, and made, one for each build.

A build's tree is a disk that guests mount read-only: no cell can change it, and another build
costs a guest nothing. It has the names of a merged /usr, `/usr/sbin/haproxy`, and what a root tree
needs beside.
"""

from __future__ import annotations

import fnmatch
import io
import os
import posixpath
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hatester.artifacts import disk
from hatester.util.errors import MeasurementError
from hatester.util.paths import is_there
from hatester.util.text import quoted

BINARY = "usr/sbin/haproxy"
Member = tuple[tarfile.TarInfo, IO[bytes] | None]
"""A file of a tree, as tarfile takes it."""
_MERGED = re.compile(r"^(?:lib|lib64|bin|sbin)(?=/|$)")
_FOLDERS = ("dev", "proc", "sys", "tmp", "run/haproxy", "var/lib/haproxy", "etc/haproxy")
_NAME_BYTES = 255
"""Of a name in a folder of ext4, at most (EXT4_NAME_LEN)."""
_MOST_LINKS = 40
"""On one way, as Linux has it (path_resolution(7))."""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nhaproxy:x:100:100::/var/lib/haproxy:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\nhaproxy:x:100:\n"


@dataclass(frozen=True)
class Tree:
    """A build that was made: its version, and the disk with its tree."""

    version: str
    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "tree.ext4"

    @property
    def serial(self) -> str:
        """Return the disk's serial, of at most 20 bytes (VIRTIO_BLK_ID_BYTES, virtio_blk.h)."""
        return self.folder.name


@dataclass(frozen=True)
class Content:
    """The members of a tree, of which the first of a name counts, and its version of HAProxy."""

    version: str
    members: Iterable[Member]


def merged(path: str) -> str:
    """Return a path as a tree has it: without a leading slash, and of a merged /usr."""
    return _MERGED.sub(r"usr/\g<0>", posixpath.normpath(path.lstrip("/")))


def file(path: str, content: bytes) -> Member:
    """Return a file of a tree, which may be executed."""
    member = tarfile.TarInfo(merged(path))
    member.size, member.mode = len(content), 0o755
    return member, io.BytesIO(content)


def link(path: str, target: str) -> Member:
    """Return a symbolic link of a tree."""
    member = tarfile.TarInfo(merged(path))
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, None


def make_disk(members: Iterable[Member], folder: Path) -> None:
    """Make the disk of the tree in `folder`.

    Raises MeasurementError without a HAProxy among them, and for a member that would be outside of
    the tree.
    """
    packed = folder / "tree.tar"
    with tarfile.open(packed, "w") as tree:
        _add_skeleton(tree)
        added: set[str] = set()
        for member, content in members:
            if member.name not in added:
                _require_within(member, added)
                added.add(member.name)
                tree.addfile(_plain(member), content)
        size = disk.enough(member.size for member in tree.getmembers())
    if BINARY not in added:
        raise MeasurementError(f"it has no /{BINARY}")
    disk.make_ext4_from_tar(packed, folder / "tree.ext4", size, *disk.READ_ONLY)
    packed.unlink()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member without what was not verified.

    Further headers would have priority (pax(1)); an owner and a time may be any.
    """
    plain = tarfile.TarInfo(member.name)
    plain.mode = member.mode & 0o7777
    if member.isreg():
        plain.size = member.size
    else:
        plain.type, plain.linkname = member.type, member.linkname
    return plain


def _require_within(member: tarfile.TarInfo, added: set[str]) -> None:
    path = PurePosixPath(member.name)
    if member.issparse() or not (member.isreg() or member.issym() or member.islnk()):
        raise MeasurementError(f"'{path}' is neither a file nor a link")
    if "\0" in member.name or any(len(os.fsencode(part)) > _NAME_BYTES for part in path.parts):
        raise MeasurementError(f"{quoted(member.name)} is not a name that a file can have")
    if path.is_absolute() or ".." in path.parts:
        raise MeasurementError(f"'{path}' would be outside of the tree")
    if through := next((str(p) for p in path.parents if str(p) in added), None):
        raise MeasurementError(f"'{path}' would be written through '{through}'")
    if member.islnk() and member.linkname not in added:
        raise MeasurementError(f"'{path}' is a link to '{member.linkname}', which is not there")


def _add_skeleton(tree: tarfile.TarFile) -> None:
    """Add what every root tree has and no build brings along."""
    for name in ("lib", "lib64", "bin", "sbin"):
        top = tarfile.TarInfo(name)
        top.type, top.linkname = tarfile.SYMTYPE, f"usr/{name}"
        tree.addfile(top)
    for name in _FOLDERS:
        directory = tarfile.TarInfo(name)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tree.addfile(directory)
    for name, text in (("etc/passwd", _PASSWD), ("etc/group", _GROUP)):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(text), 0o644
        tree.addfile(entry, io.BytesIO(text.encode()))


@dataclass(frozen=True)
class Root:
    """A folder in which links are followed as they are after chroot(2).

    A target that begins with a slash, or goes up too far, begins at the folder again.
    """

    folder: Path

    def real(self, path: str) -> str:
        """Return the path that `path` leads to, without links on the way; it need not exist."""
        done: list[str] = []
        left = path.split("/")[::-1]
        links = 0
        while left:
            name = left.pop()
            here = self.folder.joinpath(*done, name)
            if name == "..":
                del done[-1:]
            elif name not in ("", ".") and is_there(here, Path.is_symlink):
                links += 1
                if links > _MOST_LINKS:
                    raise MeasurementError(f"{path} is a link that leads nowhere")
                target = str(here.readlink())
                if target.startswith("/"):
                    done.clear()
                left += target.split("/")[::-1]
            elif name not in ("", "."):
                done.append(name)
        return "/" + "/".join(done)

    def read(self, path: str) -> bytes:
        """Return the content of a regular file; nothing, where there is none.

        Raises MeasurementError for one that cannot be read.
        """
        file = self._at(path)
        try:
            return file.read_bytes() if stat.S_ISREG(file.lstat().st_mode) else b""
        except (FileNotFoundError, NotADirectoryError, ValueError):  # or no name of a file
            return b""
        except OSError as error:
            raise MeasurementError(f"{path} cannot be read: {error.strerror}") from error

    def files(self, pattern: str) -> Iterator[str]:
        """Yield the paths that a pattern for names in a folder matches, such as `/etc/*.conf`."""
        folder, _, names = pattern.rpartition("/")
        place = self._at(folder)
        there = [path.name for path in place.iterdir()] if is_there(place, Path.is_dir) else []
        for name in sorted(fnmatch.filter(there, names or "*")):
            yield f"{folder}/{name}"

    def _at(self, path: str) -> Path:
        return self.folder / self.real(path).lstrip("/")
