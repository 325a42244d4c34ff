"""Locks between processes (flock(2)): the kernel drops those of a process that dies.

A lock file has the pid of who holds it, or held it last. It is never removed, but by `invoke clean`
while nobody uses the cache: who had opened it before would hold another lock than who comes after.
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
from hatester.util.files import set_aside

log = logging.getLogger(__name__)

LOCK_SECONDS = 900.0
"""How long to wait for another process that makes the same; none takes that long."""

_POLL_SECONDS = 0.1
PATIENCE_SECONDS = 2.0
"""A wait that takes longer is told."""


@contextlib.contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock file `path`, awaited; `purpose` completes "another process …".

    Raises UserError where that takes more than LOCK_SECONDS, or there can be no such file.
    """
    with _opened(path) as file:
        _await(file, fcntl.LOCK_EX, path, purpose)
        _sign(file)
        yield


@contextlib.contextmanager
def shared(path: Path, purpose: str) -> Iterator[None]:
    """Be one of those, of whom there may be many, that keep others from `taken` and `locked`.

    `purpose` and what is raised as of `locked`.
    """
    with _opened(path) as file:
        _await(file, fcntl.LOCK_SH, path, purpose)
        yield


@contextlib.contextmanager
def taken(path: Path, sentence: str) -> Iterator[None]:
    """Hold the lock file `path`, which is had at once or not at all.

    Raises UserError with `sentence` where another process has it.
    """
    with _opened(path) as file:
        if not _is_had(file, fcntl.LOCK_EX):
            raise UserError(sentence)
        _sign(file)
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path`, which need not be there."""
    try:
        with path.open() as file:
            return not _is_had(file, fcntl.LOCK_EX)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            set_aside(path, "is a folder, where a lock should be")
        return path.open("a")
    except OSError as error:
        raise UserError(f"The lock {path} cannot be opened: {error.strerror}.") from error


def _is_had(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await(file: IO[str], kind: int, path: Path, purpose: str) -> None:
    begun = time.monotonic()
    is_told = False
    while not _is_had(file, kind):
        waited = time.monotonic() - begun
        other = f"another process {purpose} ({holder(path)}it holds {path})"
        if waited > LOCK_SECONDS:
            raise UserError(f"Waited {LOCK_SECONDS:.0f} s while {other}.")
        # Another thread of this process says itself what it does.
        is_ours = holder(path) == f"pid {os.getpid()}, "
        if waited > PATIENCE_SECONDS and not is_told and not is_ours:
            log.info(f"waiting while {other}")
            is_told = True
        process.require_going_on()
        time.sleep(_POLL_SECONDS)


def _sign(file: IO[str]) -> None:
    """Leave this process's pid in a lock file, for who waits for it; on a full disk, without."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())


def holder(path: Path) -> str:
    """Who holds a lock file alone, as the beginning of a list: `pid 123, `, or nothing."""
    pid = path.read_text(errors="replace").strip() if path.exists() else ""
    return f"pid {pid}, " if pid else ""
