"""Files that are whole at any moment, and what becomes of those that are not as they should be."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from hatester.util.errors import UserError

log = logging.getLogger(__name__)

UNFINISHED = "unfinished"
DAMAGED = "damaged"
"""Suffixes of hidden names: for unfinished files, and for quarantined ones."""

_PIECE = 1 << 20


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum in hexadecimal digits. Raises UserError if it cannot be read."""
    found = hashlib.new(algorithm)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return found.hexdigest()


def write_whole(path: Path, content: str) -> None:
    """Write a file so that a reader, at any moment, sees all of the old content or of the new.

    The file and its folder are on the disk when this returns.

    A folder in its place is quarantined, and what killed processes left of the same file
    is removed. Raises OSError as open(2) and write(2) have it; the old content is there then.
    """
    make_folder(path.parent)
    _remove_leftovers(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{UNFINISHED}")
    try:
        with unfinished.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.is_dir() and not path.is_symlink():
            quarantine(path, "is a folder, where a file should be")
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, so that a power cut takes none of them away.

    Raises OSError as mkdir(2) and fsync(2) have it.
    """
    # One with content was synced before it had any; an empty one may be left from a failure.
    if not (path.is_dir() and any(path.iterdir())):
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Write the names in a folder to the disk (fsync(2))."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.{UNFINISHED}"):
        pid = leftover.name.split(".")[-3]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            remove(leftover)


def quarantine(path: Path, reason: str) -> Path:
    """Quarantine a file or folder: rename it, in place of an earlier one, and log it.

    Another process may do so at the same time. Returns where it is then. Raises OSError where it
    cannot be moved.
    """
    aside = path.with_name(f".{path.name}.{DAMAGED}")
    remove(aside)
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        log.warning(f"{path} {reason}; quarantined as {aside.name}")
    return aside


@contextlib.contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turn an OSError about a file or folder into a UserError with its path."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be used: {error.strerror or error}."
        ) from error


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
