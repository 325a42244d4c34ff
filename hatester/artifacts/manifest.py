"""Manifests: the content of a folder when it was made, by which damage is noticed.

A file is unchanged when its size and its checksum are. The checksums of all files of a run take
seconds, and longer from a slow disk, while guests are being measured. So a checksum is computed
only where something points to a change, as git does for its index (gitformat-index(5)):

- the file's inode, size, time of modification or time of change differ from those noted, or
- it was changed so shortly before they were noted that a later change could have the same time.

Every change through the file system is noticed: each sets the time of change (inode(7)), which no
program can set back. A copy of the folder is found whole, and noted anew. Decay of the disk, and
writes past the file system, are noticed only when a checksum is computed for another reason.
Owners, modes and the times of folders are not part of a manifest.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import pydantic

from hatester.util import jsonfile
from hatester.util.jsonfile import Damaged

_PIECE = 1 << 18
_ZEROS = bytes(_PIECE)


class Fact(NamedTuple):
    """The thing at a path. `content` is a file's checksum, or the target of a link."""

    kind: str
    size: int = 0
    content: str = ""
    seen: tuple[int, ...] = ()
    """The inode, the time of modification and the time of change, both in nanoseconds."""

    def __str__(self) -> str:
        if self.kind == _LINK:
            return f"{self.kind} to {self.content}"
        return f"{self.kind} of {self.size} bytes" if self.kind == _FILE else self.kind


_FILE, _FOLDER, _LINK, _OTHER = "a file", "a folder", "a link", "neither file nor folder"
_FORM = pydantic.TypeAdapter(dict[str, Fact])


@dataclass(frozen=True)
class Manifest:
    """The content of a folder at those of its names that match `pattern`, as noted in `file`."""

    file: Path
    folder: Path
    pattern: str = "*"

    def write(self) -> None:
        """Note the content. Raises OSError, and UserError where it cannot be written."""
        jsonfile.write(self.file, self._look({}, _checksum))

    def is_untouched(self) -> bool:
        """Return True if nothing points to a change, which takes no time to see. Raises OSError."""
        try:
            noted = jsonfile.read(self.file, _FORM)
            # A file that has to be read has no checksum then, and is unlike what was noted.
            return self._look(self._trustworthy_files(noted), lambda _: "") == noted
        except (Damaged, FileNotFoundError):
            return False

    def verify(self) -> None:
        """Raise Damaged when something is not as it was noted; else note when that was found.

        To be called by one at a time. Raises OSError.
        """
        try:
            noted = jsonfile.read(self.file, _FORM)
        except FileNotFoundError as error:
            raise Damaged(f"{self.file.name} is missing") from error
        except Damaged as error:
            raise Damaged(f"{self.file.name} {error}") from error
        found = self._look(self._trustworthy_files(noted), _checksum)
        _require_alike(noted, found)
        jsonfile.write(self.file, found)

    def contents(self) -> list[tuple[str, str, int, str]]:
        """Return each noted name with kind, size and content; nothing, if the note is damaged."""
        try:
            noted = jsonfile.read(self.file, _FORM)
        except (Damaged, FileNotFoundError):
            return []
        return [(name, *fact[:3]) for name, fact in sorted(noted.items())]

    def _trustworthy_files(self, noted: Mapping[str, Fact]) -> dict[str, Fact]:
        """Return the files that cannot have changed since without another time of change."""
        written = self.file.stat().st_mtime_ns
        return {name: fact for name, fact in noted.items() if fact.seen and fact.seen[-1] < written}

    def _look(
        self, trusted: Mapping[str, Fact], checksum: Callable[[Path], str]
    ) -> dict[str, Fact]:
        """Return the facts of the folder, by their names in it."""
        names = (str(path.relative_to(self.folder)) for path in self._paths())
        return {name: _fact(self.folder / name, trusted.get(name), checksum) for name in names}

    def _paths(self) -> Iterator[Path]:
        if not self.folder.is_dir():
            return
        for parent, folders, files in os.walk(self.folder, onerror=_fail):
            is_top = Path(parent) == self.folder
            folders[:] = fnmatch.filter(folders, self.pattern if is_top else "*")
            for name in (*folders, *fnmatch.filter(files, self.pattern if is_top else "*")):
                if not self._is_own(path := Path(parent, name)):
                    yield path

    def _is_own(self, path: Path) -> bool:
        """Return True for the manifest, and for a leftover of one (files.write_whole)."""
        is_beside = path.parent == self.file.parent
        return path == self.file or (is_beside and path.name.startswith(f".{self.file.name}."))


def _fail(error: OSError) -> NoReturn:
    raise error


def _fact(path: Path, trusted: Fact | None, checksum: Callable[[Path], str]) -> Fact:
    state = path.lstat()
    if stat.S_ISDIR(state.st_mode):
        return Fact(_FOLDER)
    if stat.S_ISLNK(state.st_mode):
        return Fact(_LINK, content=str(path.readlink()))
    if not stat.S_ISREG(state.st_mode):
        return Fact(_OTHER)
    seen = (state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
    is_same = trusted and (trusted.size, trusted.seen) == (state.st_size, seen)
    content = trusted.content if trusted and is_same else checksum(path)
    return Fact(_FILE, state.st_size, content, seen)


def _require_alike(noted: Mapping[str, Fact], found: Mapping[str, Fact]) -> None:
    for name in sorted(noted.keys() | found.keys()):
        if name not in found:
            raise Damaged(f"{name} is missing")
        if name not in noted:
            raise Damaged(f"{name} was added")
        was, now = noted[name], found[name]
        if was[:3] != now[:3]:
            is_alike = str(was) == str(now)
            raise Damaged(f"{name} has changed" if is_alike else f"{name} is {now}, and was {was}")


def _checksum(path: Path) -> str:
    """Return the SHA-256 of the pieces of a file that are not all zeros, each with its place.

    So it is the same wherever a copy has holes, and holes are passed over (lseek(2), SEEK_DATA).
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        for place in _places(file):
            file.seek(place)
            piece = file.read(_PIECE)
            if not _ZEROS.startswith(piece):
                found.update(place.to_bytes(8, "big"))
                found.update(piece)
    return found.hexdigest()


def _places(file: IO[bytes]) -> Iterator[int]:
    """Yield where the pieces of a file begin that have some data."""
    place = 0
    while True:
        try:
            data = file.seek(place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # there is none behind
                return
            raise
        place = data - data % _PIECE
        yield place
        place += _PIECE
