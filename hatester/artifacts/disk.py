"""Disk images, made without root: of folders, of archives, and of the trees of builds.

A build's tree is a disk that guests mount read-only: no cell can change it, and another build
costs a guest nothing. It has the names of a merged /usr, `/usr/sbin/haproxy`, and what else a root
needs. A change of what is made here raises RECIPE of haproxy.py, kernel.py and system.py.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.text import quoted

SECONDS = 300.0
"""Bound of one command that unpacks or packs an image."""
BINARY = "usr/sbin/haproxy"
Member = tuple[tarfile.TarInfo, IO[bytes] | None]
"""A file of a tree, as tarfile takes it."""
_READ_ONLY = ("-O", "^has_journal", "-m", "0")
"""Options of mke2fs(8) for a file system that is only read."""
_MERGED = re.compile(r"^(?:lib|lib64|bin|sbin)(?=/|$)")
_FOLDERS = ("dev", "proc", "sys", "tmp", "run/haproxy", "var/lib/haproxy", "etc/haproxy")
_NAME_BYTES = 255
"""Of a name in a folder of ext4, at most (EXT4_NAME_LEN)."""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nhaproxy:x:100:100::/var/lib/haproxy:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\nhaproxy:x:100:\n"


def make_ext4(folder: Path, image: Path) -> None:
    """Make a read-only disk with the content of `folder`, all of it owned by root."""
    size = _enough(path.lstat().st_size for path in folder.rglob("*"))
    process.run(
        ["fakeroot", "mke2fs", "-q", "-t", "ext4", *_READ_ONLY, "-d", folder, image, size],
        seconds=SECONDS,
    )


def _enough(sizes: Iterable[int]) -> str:
    """Return the size of a disk, for mke2fs(8), with room for files of these sizes in bytes.

    Partly filled blocks, inodes and directories are included.
    """
    return f"{int(sum(sizes) * 1.15) // 1024 + 16 * 1024}k"


def make_ext4_from_tar(archive: Path, image: Path, size: str, *options: str) -> None:
    """Make a disk with the content of a tar archive; `size` and `options` are mke2fs(8)'s."""
    folder = image.with_suffix(".d")
    folder.mkdir()
    # One fakeroot for both, since it remembers the owners only while it lives.
    script = (
        'tar --extract --numeric-owner --file "$1" --directory "$2"; root=$2; shift 2;'
        ' mke2fs -q -t ext4 -d "$root" "$@"'
    )
    process.run(
        ["fakeroot", "sh", "-euc", script, "sh", archive, folder, *options, image, size],
        seconds=SECONDS,
    )
    process.run(["rm", "-rf", folder], seconds=SECONDS)


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


class Source(NamedTuple):
    """The origin of a build. `ingredients`, as JSON, distinguish its content from any other's.

    `content` returns the content of its tree, and may unpack things into a scratch folder.
    """

    title: str
    ingredients: object
    content: Callable[[Path], Content]


def merged(path: str) -> str:
    """Return a path as a tree has it: without a leading slash, and of a merged /usr."""
    return _MERGED.sub(r"usr/\g<0>", posixpath.normpath(path.lstrip("/")))


def tree_file(path: str, content: bytes) -> Member:
    """Return a file of a tree, which may be executed."""
    member = tarfile.TarInfo(merged(path))
    member.size, member.mode = len(content), 0o755
    return member, io.BytesIO(content)


def tree_link(path: str, target: str) -> Member:
    """Return a symbolic link of a tree."""
    member = tarfile.TarInfo(merged(path))
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, None


def make_tree(members: Iterable[Member], folder: Path) -> None:
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
        size = _enough(member.size for member in tree.getmembers())
    if BINARY not in added:
        raise MeasurementError(f"it has no /{BINARY}")
    make_ext4_from_tar(packed, folder / "tree.ext4", size, *_READ_ONLY)
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
