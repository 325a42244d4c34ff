"""HAProxy binaries: the version of one, and the files that it needs in order to run.

Nothing is run for that, so that a foreign binary can do no harm. The files that the dynamic loader
(ld.so(8)) of glibc or musl would open are found in the ELF files (elf(5)).
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import io
import posixpath
import re
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from hatester.artifacts.disk import BINARY, Content, tree_file, tree_link
from hatester.util.errors import MeasurementError
from hatester.util.paths import is_there

_VERSION = re.compile(rb" version ([0-9][!-+\--~]{0,63}), released [0-9]")
"""A text that each HAProxy has for its statistics page (STATS_VERSION_STRING of its defaults.h)."""
_MACHINE = "EM_X86_64"
_DEBIAN = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
_FOLDERS = (*_DEBIAN, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
"""The folders in which one loader or another looks by default."""
_LOCAL = "/usr/local/lib"
"""A further one, of musl's loader."""
_OPENED = ("libgcc_s.so.1", "libnss_files.so.2")
"""Libraries that glibc opens when a thread ends, and, before 2.34, when a user is looked up."""
_MOST_LINKS = 40
"""On one way, as Linux has it (path_resolution(7))."""


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


@dataclass(frozen=True)
class Program:
    """A HAProxy binary with all that it needs.

    Files have contents by path; links lead its loader to libraries in folders of their own.
    """

    version: str
    binary: bytes
    files: Mapping[str, bytes]
    links: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return the digest that distinguishes it from any other."""
        digest = hashlib.sha256()
        for path, content in [(BINARY, self.binary), *sorted(self.files.items())]:
            digest.update(f"{path} {len(content)}\n".encode())
            digest.update(content)
        digest.update(repr(sorted(self.links.items())).encode())
        return digest.hexdigest()

    @property
    def content(self) -> Content:
        """Return the content of a tree that has nothing else."""
        files = [(BINARY, self.binary), *self.files.items()]
        members = [tree_file(path, content) for path, content in files]
        members += [tree_link(path, target) for path, target in self.links.items()]
        return Content(self.version, members)


@dataclass(frozen=True)
class _Elf:
    """The facts that the loader needs of a file at `path`."""

    path: str
    needed: tuple[str, ...]
    """Its loader, by its path, and libraries."""
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]


def version_of(content: bytes, name: str) -> str:
    """Return the version of a HAProxy binary, as `haproxy -v` prints it.

    Raises MeasurementError where there is none.
    """
    found = _VERSION.search(content)
    if not found:
        raise MeasurementError(f"{name} is not a HAProxy: it has no version of one")
    return found[1].decode("ascii", "replace")


def read_program(root: Root, path: str, further: Sequence[str] = ()) -> Program:
    """Read the HAProxy binary at `path` of a root, and all that it needs.

    `further` are folders where its libraries may be, as LD_LIBRARY_PATH has them. Raises
    MeasurementError when it is none, or not for this architecture, and when a library is missing.
    """
    path = root.real(path)
    binary = root.read(path)
    elf = _read(binary, path)
    version = version_of(binary, path)
    libraries = _Libraries(root, elf, further)
    links: dict[str, str] = {}
    for name, place in libraries.places.items():
        if "/" not in name and posixpath.dirname(place) not in _FOLDERS:
            links |= {f"{folder}/{name}": place for folder in ("/usr/lib", "/usr/lib64")}
    return Program(version, binary, libraries.contents, links)


class _Libraries:
    """The libraries that a program needs of a root: places by the names that it needs.

    Raises MeasurementError where something is missing.
    """

    def __init__(self, root: Root, program: _Elf, further: Sequence[str]) -> None:
        self.places: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self._root = root
        self._rpath = program.rpath
        self._further = further
        self._folders = (*_library_folders(root), *_FOLDERS, _LOCAL)
        self._add(program)
        if "libc.so.6" in self.places:
            for name in _OPENED:
                # Not every system has them, nor does every glibc open them.
                with contextlib.suppress(MeasurementError):
                    self._add(self._find(name, program))

    def _add(self, elf: _Elf) -> None:
        needing = deque([elf])
        while needing:
            elf = needing.popleft()
            needing += [self._find(name, elf) for name in elf.needed if name not in self.places]

    def _find(self, name: str, elf: _Elf) -> _Elf:
        """Find a library that a file needs, in the order of ld.so(8)."""
        ways = (elf.rpath, self._rpath, self._further, elf.runpath, self._folders)
        places = [f"{folder}/{name}" for folders in ways for folder in folders]
        for place in map(posixpath.normpath, [name] if "/" in name else places):
            content = self._root.read(place)
            # The loader passes over what is for another architecture.
            with contextlib.suppress(MeasurementError):
                found = _read(content, place)
                self.places[name] = place
                self.contents[place] = content
                return found
        raise MeasurementError(f"{elf.path} needs {name}, which is missing")


def _read(content: bytes, path: str) -> _Elf:
    """Read an ELF file. Raises MeasurementError if it cannot be run here."""
    if not content:
        raise MeasurementError(f"{path} is missing")
    try:
        elf = ELFFile(io.BytesIO(content))
        if elf["e_machine"] == _MACHINE:
            return _dynamic(elf, path)
        architecture = elf.get_machine_arch()
    except Exception as error:  # pyelftools raises whatever a broken file makes it stumble over
        raise MeasurementError(f"{path} is not a program (an ELF file that is whole)") from error
    raise MeasurementError(f"{path} is for another architecture: {architecture}, not x86-64")


def _dynamic(elf: ELFFile, path: str) -> _Elf:
    tags: dict[str, list[str]] = {"needed": [], "rpath": [], "runpath": []}
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            tags["needed"].insert(0, segment.get_interp_name())
        elif isinstance(segment, DynamicSegment):
            for tag in segment.iter_tags():
                kind = str(tag.entry.d_tag).removeprefix("DT_").lower()
                if kind in tags:
                    tags[kind].append(getattr(tag, kind))
    origin = posixpath.dirname(path)
    rpath, runpath = (
        tuple(
            folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
            for folder in ":".join(tags[kind]).split(":")
            if folder
        )
        for kind in ("rpath", "runpath")
    )
    return _Elf(path, tuple(tags["needed"]), () if runpath else rpath, runpath)


def _library_folders(root: Root) -> Iterator[str]:
    """Yield the folders for libraries that a root's files name: musl's, and ldconfig(8)'s."""
    yield from filter(None, re.split(r"[:\n]", _text(root, "/etc/ld-musl-x86_64.path")))
    files = ["/etc/ld.so.conf"]
    for file in files:
        for line in _text(root, file).splitlines():
            word, *patterns = line.partition("#")[0].split() or [""]
            if word == "include":
                for pattern in patterns:
                    included = root.files(posixpath.join(posixpath.dirname(file), pattern))
                    files += [each for each in included if each not in files]
            elif word.startswith("/"):
                yield word


def _text(root: Root, path: str) -> str:
    return root.read(path).decode(errors="replace")
