"""A disk that fails at one operation, and that loses at a cut what was not synced (fsync(2))."""

from __future__ import annotations

import io
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

Content = bytes | Path | None
"""A file's bytes, a link's target, or None for a folder."""
Image = dict[str, Content]
"""The content of a disk by the paths on it."""
Choice = Callable[[], bool]
"""Decides whether something unsynced is on the disk after a cut."""


def no() -> bool:
    return False


def yes() -> bool:
    return True


_BY_PATH = ("mkdir", "rename", "replace", "unlink", "rmdir", "symlink", "utime", "open")
_BY_DESCRIPTOR = ("write", "ftruncate")


class Disk:
    """A folder whose operations are counted: each write, fsync, rename, mkdir, open and the like.

    `before` is called before each operation.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0
        self.before: Callable[[], object] = lambda: None
        self._failing: range = range(0)
        self._errno = 0
        self.are_writes_short = False
        self._names: dict[int, dict[str, int]] = {}
        self._contents: dict[int, Content] = {}
        self._held: dict[int, int] = {}
        self._is_watching = True
        for folder, _, files in os.walk(root, topdown=False):
            for file in files:
                self._note(Path(folder, file))
            self._note(Path(folder))

    def _note(self, path: Path) -> None:
        """Note what is synced: a file's content, or the names in a folder."""
        inode = path.lstat().st_ino
        if path.is_dir() and not path.is_symlink():
            self._names[inode] = {}
            for each in path.iterdir():
                self._names[inode][each.name] = child = each.lstat().st_ino
                self._hold(each)
                if each.is_symlink():
                    self._contents[child] = each.readlink()
                elif each.is_dir():
                    self._names.setdefault(child, {})
                else:
                    self._contents.setdefault(child, b"")
        elif not path.is_symlink():
            self._contents[inode] = path.read_bytes()
        self._hold(path)

    def _hold(self, path: Path) -> None:
        """Keep an inode from being used again for another file."""
        inode = path.lstat().st_ino
        if inode not in self._held:
            self._held[inode] = os.open(path, os.O_PATH | os.O_NOFOLLOW)

    def fail(self, number: int, errno: int, *, lasts: bool) -> None:
        """Have the operation with a number fail, or all from that on; of a write, half is done."""
        self._failing = range(number, 1 << 30 if lasts else number + 1)
        self._errno = errno

    def mend(self) -> bool:
        """Have no further operation fail; return True if one has failed."""
        has_failed = self.count > self._failing.start
        self._failing = range(0)
        return has_failed

    def record(self, seed: str) -> list[Image]:
        """Return a list that gets what a cut would leave at each moment from now on."""
        images: list[Image] = []
        chance = random.Random(seed)

        def maybe() -> bool:
            return chance.random() < 0.5

        def note() -> None:
            for has_name, has_content in ((no, no), (yes, no), (maybe, maybe)):
                image = self.image(has_name, has_content)
                if image not in images:
                    images.append(image)

        self.before = note
        return images

    def image(self, has_name: Choice = no, has_content: Choice = no) -> Image:
        """Return the disk after a cut, by choice for each folder and for each file."""
        with self._unwatched():
            there = {path.lstat().st_ino: path for path in (self.root, *self.root.rglob("*"))}
            image: Image = {}
            self._draw(self.root.lstat().st_ino, "", there, image, has_name, has_content)
            return image

    def _draw(
        self, inode: int, at: str, there: dict[int, Path], image: Image,
        has_name: Choice, has_content: Choice,
    ) -> None:  # fmt: skip
        live = there.get(inode)
        names = self._names.get(inode, {})
        if live and has_name():
            names = {each.name: each.lstat().st_ino for each in live.iterdir()}
        for name, child in sorted(names.items()):
            path, now = f"{at}{name}", there.get(child)
            if child in self._names or (now and now.is_dir() and not now.is_symlink()):
                image[path] = None
                self._draw(child, f"{path}/", there, image, has_name, has_content)
            elif now and now.is_symlink():
                image[path] = now.readlink()
            else:
                image[path] = self._contents.get(child, b"")
                if now and has_content():
                    image[path] = now.read_bytes()

    @contextmanager
    def mounted(self) -> Iterator[Disk]:
        """Have everything below the folder done by way of this disk."""
        really: dict[str, Any] = {name: getattr(os, name) for name in (*_BY_PATH, *_BY_DESCRIPTOR)}
        open_file = io.open

        def by_path(name: str) -> Callable[..., Any]:
            def operate(path: Any, *args: Any, **options: Any) -> Any:
                if self._is_here(path) or "dir_fd" in options:
                    self._operate()
                return really[name](path, *args, **options)

            return operate

        def by_descriptor(name: str) -> Callable[..., Any]:
            def operate(file: int, *args: Any) -> Any:
                self._operate()
                return really[name](file, *args)

            return operate

        def opened(path: Any, mode: str = "r", *args: Any, **options: Any) -> IO[Any]:
            is_here = self._is_here(path)
            if is_here:
                self._operate()
            if is_here and mode == "w":
                return io.TextIOWrapper(io.BufferedWriter(_File(self, path)), encoding="utf-8")
            return open_file(path, mode, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            for name in _BY_PATH:
                patch.setattr(os, name, by_path(name))
            for name in _BY_DESCRIPTOR:
                patch.setattr(os, name, by_descriptor(name))
            patch.setattr(io, "open", opened)
            patch.setattr(os, "fsync", self._sync)
            yield self

    def _sync(self, file: int) -> None:
        self._operate()
        with self._unwatched():
            self._note(Path(f"/proc/self/fd/{file}").resolve())

    def close(self) -> None:
        for each in self._held.values():
            os.close(each)

    def _is_here(self, path: Any) -> bool:
        return not isinstance(path, int) and Path(path).is_relative_to(self.root)

    def _operate(self, begin: Callable[[], object] = lambda: None) -> None:
        """Count an operation; the one that fails has only its beginning done."""
        if not self._is_watching:
            return
        self.before()
        self.count += 1
        if self.count - 1 in self._failing:
            begin()
            raise OSError(self._errno, os.strerror(self._errno))

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        before, self._is_watching = self._is_watching, False
        yield
        self._is_watching = before


class _File(io.FileIO):
    def __init__(self, disk: Disk, path: Any) -> None:
        self._disk = disk
        super().__init__(path, "w")

    def write(self, data: Any) -> int:
        half = bytes(data)[: (len(data) + 1) // 2]
        self._disk._operate(lambda: super(_File, self).write(half))
        return super().write(half if self._disk.are_writes_short else data)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a folder in memory, where there is one, without its delays of fsync(2)."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def read_image(folder: Path) -> Image:
    """Return the content of a folder."""
    with closing(Disk(folder)) as disk:
        return disk.image(yes, yes)


def restore(image: Image, folder: Path) -> Path:
    """Make a folder with the content of a disk."""
    folder.mkdir(parents=True)
    for name, content in image.items():
        match content:
            case None:
                (folder / name).mkdir()
            case bytes():
                (folder / name).write_bytes(content)
            case _:
                (folder / name).symlink_to(content)
    return folder
