"""The folder of a run's machines, and the end of all that runs in it.

A run holds the lock of its folder while it lives. A folder whose lock is free belongs to a run
that was killed: its machines are ended by the next run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hatester.artifacts import cache
from hatester.util import orphans
from hatester.util.errors import UserError
from hatester.util.locks import is_held, locked, shared

_KEPT = "kept"
_LOCK = ".lock"
_PURPOSE = "starts or sweeps runs"


@contextlib.contextmanager
def machines_folder(name: str) -> Iterator[Path]:
    """A folder for the machines of the run `name`; none of them is left when it ends.

    Unless `keep` was called for the folder: then they go on. Raises UserError where there can be
    none.
    """
    runs = _runs()
    with contextlib.ExitStack() as undo:
        with locked(runs / _LOCK, _PURPOSE):
            _sweep(runs)
            folder = runs / f"{name}-{os.getpid()}"
            try:
                folder.mkdir()
                lock = undo.enter_context((folder / "lock").open("w"))
            except OSError as error:
                raise UserError(f"{folder} cannot be made: {error.strerror}.") from error
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder
        finally:
            if not is_kept(folder):
                remove(folder)


def _runs() -> Path:
    return cache.root() / "runs"


def folders() -> dict[Path, bool]:
    """The folders of all runs, and whether a run or its user has need of them still."""
    runs = _runs()
    # Who starts a run must not find its own lock held by who only looks.
    with shared(runs / _LOCK, _PURPOSE):
        return {each: is_held(each / "lock") or is_kept(each) for each in _inside(runs)}


def _inside(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if path.is_dir())


def keep(folder: Path) -> None:
    """Let the machines of a folder go on when their run ends."""
    (folder / _KEPT).touch()


def is_kept(folder: Path) -> bool:
    """Whether a folder was kept, and has a machine still."""
    return (folder / _KEPT).exists() and bool(kept_machines(folder))


def kept_machines(folder: Path) -> list[str]:
    """The names of the machines that a folder has, by Vagrant's own record."""
    return sorted(path.parent.parent.name for path in folder.glob("machines/*/qemu/id"))


def _sweep(runs: Path) -> None:
    """End what runs have left that did not come to their end."""
    for folder in _inside(runs):
        # One that lives has its lock; one that ends just now may have no folder any more.
        unless = contextlib.suppress(BlockingIOError, FileNotFoundError)
        with unless, (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_kept(folder):
                remove(folder)
    orphans.end(orphans.strays, "What a killed run has left")


def remove(folder: Path) -> None:
    """End every machine of a folder, and remove it. Raises UserError for one that does not end."""
    end(folder)
    # It may be gone: somebody else can remove it as well.
    shutil.rmtree(folder, ignore_errors=True)


def end(folder: Path) -> None:
    """End every machine of a folder. Raises UserError for one that does not end."""
    orphans.end(lambda: orphans.machines(folder), f"QEMU or Vagrant in {folder}")
