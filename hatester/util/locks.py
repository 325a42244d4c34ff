"""Locks between processes and threads (flock(2)): the kernel drops those of a process that dies.

A lock file has the pid of the process that holds it alone. Lock files are deleted only by `invoke
clean`, while the cache is not in use: a process that had opened a deleted one would hold another
lock than the next process.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hatester.util import process
from hatester.util.errors import UserError
from hatester.util.files import quarantine

log = logging.getLogger(__name__)

LOCK_SECONDS = 900.0
"""The longest wait for another process that makes the same; none takes that long."""

_POLL_SECONDS = 0.1
PATIENCE_SECONDS = 2.0
"""A longer wait is logged."""


@contextlib.contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Wait for the lock file `path` and hold it alone; `purpose` completes "another process …".

    Raises UserError where that takes more than LOCK_SECONDS, or the file cannot be made.
    """
    with _open(path) as file:
        _await(file, fcntl.LOCK_EX, path, purpose)
        with _sign(file):
            yield


@contextlib.contextmanager
def shared(path: Path, purpose: str) -> Iterator[None]:
    """Wait for the lock file `path` and share it; it cannot be `taken` or `locked` meanwhile.

    `purpose` and errors are those of `locked`.
    """
    with _open(path) as file:
        _await(file, fcntl.LOCK_SH, path, purpose)
        yield


@contextlib.contextmanager
def taken(path: Path, sentence: str) -> Iterator[None]:
    """Hold the lock file `path` alone, without waiting for it.

    Raises UserError with `sentence` where it is held.
    """
    with _open(path) as file:
        if not _try_lock(file, fcntl.LOCK_EX):
            raise UserError(sentence)
        with _sign(file):
            yield


def is_held(path: Path) -> bool:
    """Return True if the lock file `path` is held or shared; it need not exist.

    Raises UserError where it cannot be opened.
    """
    try:
        if path.exists() and not path.is_file():
            return False
        with path.open("r+") as file:
            return not _try_lock(file, fcntl.LOCK_EX)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unusable(path, error) from error


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The file to which a link of a foreign run leads would be emptied.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            quarantine(path, "is not a file, as a lock is")
        # NFS has byte-range locks instead, for which a file is open for reading and for writing.
        return path.open("a+")
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError(f"The lock {path} cannot be opened: {error.strerror}.")


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await(file: IO[str], kind: int, path: Path, purpose: str) -> None:
    begun = time.monotonic()
    is_logged = False
    while not _try_lock(file, kind):
        waited = time.monotonic() - begun
        pid = _holder(path)
        is_ours = pid == str(os.getpid())
        who = "thread" if is_ours else "process" if pid else "process or thread"
        other = f"another {who} {purpose} ({holder(path)}it holds {path})"
        if waited > LOCK_SECONDS:
            raise UserError(f"Waited {LOCK_SECONDS:.0f} s while {other}.")
        # A thread of this process logs by itself what it does.
        if waited > PATIENCE_SECONDS and not is_logged and not is_ours:
            log.info(f"waiting while {other}")
            is_logged = True
        process.require_going_on()
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _sign(file: IO[str]) -> Iterator[None]:
    """Keep this process's pid in a lock file; on a full disk, do without."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)


def holder(path: Path) -> str:
    """Return the sole holder of a lock file, to begin a list with: `pid 123, `, or nothing."""
    return f"pid {pid}, " if (pid := _holder(path)) else ""


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        # A pipe would have it wait for ever.
        return path.read_text(errors="replace").strip() if path.is_file() else ""
    return ""
