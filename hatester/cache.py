"""Things that are made once: a folder per entry, named by what it is made of.

An entry is made aside and renamed into place, so one that exists is whole. A lock per entry keeps
two processes from making the same one; the kernel drops the lock of a process that dies, and what
that process left half-made is removed by the next one that makes the entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hatester import commands
from hatester.errors import UserError
from hatester.locks import locked


def root() -> Path:
    """`$XDG_CACHE_HOME/hatester` (XDG Base Directory Specification), readable by its user only.

    Raises UserError where it cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    folder = parent / "hatester"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The cache folder {folder} cannot be made: {error.strerror}.") from error
    return folder


def use_lock() -> Path:
    """The lock that is shared by all who make entries or use them, and that who removes some takes
    alone (see hatester/locks.py)."""
    return root() / "use.lock"


def use(path: Path) -> Path:
    """`path`, which is used now: `invoke clean` goes by its time of modification."""
    os.utime(path)
    return path


def digest(ingredients: Any, recipe: Sequence[Path]) -> str:
    """The name of an entry: what it is made of, as JSON, and the files that say how it is made."""
    content = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode())
    for path in recipe:
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of the entry `kind`/`name`; when there is none, `make` fills a new one.

    Raises UserError when a command or the disk fails it, and what else `make` raises.
    """
    folder = root() / kind / name
    if not folder.is_dir():
        with _locked_entry(folder):
            if not folder.is_dir():
                _make(folder, make)
    return folder


def renew(kind: str, name: str, make: Callable[[Path], None]) -> None:
    """Make an entry anew; an old one is replaced only by a new one that is whole."""
    folder = root() / kind / name
    with _locked_entry(folder):
        _make(folder, make)


def _locked_entry(folder: Path) -> AbstractContextManager[None]:
    return locked(
        folder.with_name(f".{folder.name}.lock"), f"makes {folder.parent.name}/{folder.name}"
    )


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        make(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except (commands.CommandError, OSError) as error:
        raise UserError(f"{folder} cannot be made: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
