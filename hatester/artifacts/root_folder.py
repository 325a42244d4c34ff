"""Root folders, such as an unpacked image's: what a path in one leads to, and never out of it."""

from __future__ import annotations

import fnmatch
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hatester.util.errors import MeasurementError
from hatester.util.paths import is_there

_MOST_LINKS = 40
"""On one way, as Linux has it (path_resolution(7))."""


@dataclass(frozen=True)
class Root:
    """A folder in which links are followed as they are after chroot(2): what begins with a slash,
    and what goes up too far, begins at the folder again."""

    folder: Path

    def real(self, path: str) -> str:
        """The path that `path` leads to, without a link on the way, whether or not it is there."""
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
        """The content of a regular file; nothing, where there is none.

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
        """The paths that a pattern over names in one folder matches, such as `/etc/*.conf`."""
        folder, _, names = pattern.rpartition("/")
        place = self._at(folder)
        there = [path.name for path in place.iterdir()] if is_there(place, Path.is_dir) else []
        for name in sorted(fnmatch.filter(there, names or "*")):
            yield f"{folder}/{name}"

    def _at(self, path: str) -> Path:
        return self.folder / self.real(path).lstrip("/")
