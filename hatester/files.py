"""Files that are whole at any moment, and what becomes of those that are not as they should be."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from hatester.notices import say

UNFINISHED = "unfinished"
DAMAGED = "damaged"
"""Suffixes of hidden names: what was never finished, and what was set aside."""


def write_whole(path: Path, content: str) -> None:
    """Write a file so that a reader, at any moment, sees all of the old content or of the new.

    Raises OSError as open(2) and write(2) have it; the old content is there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{UNFINISHED}")
    try:
        with unfinished.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def set_aside(path: Path, reason: str) -> Path:
    """Move what cannot be used out of the way, in place of an earlier one, and tell the user.

    Returns where it is then. Raises OSError where it cannot be moved.
    """
    aside = path.with_name(f".{path.name}.{DAMAGED}")
    remove(aside)
    path.rename(aside)
    say(f"{path} {reason}; it was set aside as {aside.name}")
    return aside


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
