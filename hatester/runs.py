"""The folder of a run's machines, and the end of all that runs in it.

A run holds the lock of its folder while it lives. A folder whose lock is free belongs to a run
that was killed: its machines are ended by the next run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from hatester import cache
from hatester.errors import UserError
from hatester.locks import locked

END_SECONDS = 10.0
_POLL_SECONDS = 0.02
_KEPT = "kept"


@contextlib.contextmanager
def machines_folder(name: str) -> Iterator[Path]:
    """A folder for the machines of the run `name`; none of them is left when it ends.

    Unless `keep` was called for the folder: then they go on.
    """
    runs = cache.root() / "runs"
    with contextlib.ExitStack() as undo:
        with locked(runs / ".lock", "starts or sweeps runs"):
            _sweep(runs)
            folder = runs / f"{name}-{os.getpid()}"
            folder.mkdir()
            lock = undo.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder
        finally:
            if not is_kept(folder):
                remove(folder)


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
    for folder in runs.glob("*/"):
        with contextlib.suppress(BlockingIOError), (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_kept(folder):
                remove(folder)


def remove(folder: Path) -> None:
    """End every machine of a folder, and remove it. Raises UserError for one that does not end."""
    end(folder)
    shutil.rmtree(folder)


def end(folder: Path) -> None:
    """End every machine of a folder. Raises UserError for one that does not end."""
    deadline = time.monotonic() + END_SECONDS
    while pids := machines(folder):
        if time.monotonic() > deadline:
            raise UserError(f"QEMU with the pids {pids} does not end; it holds {folder}.")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def machines(folder: Path) -> list[int]:
    """The pids of QEMU and Vagrant processes whose machines are in a folder.

    Vagrant is told of the folder by its environment, which QEMU has from it. It counts itself,
    since one that outlives its run could start a machine yet.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        is_ours = b"qemu-system" in command or b"vagrant" in command
        if is_ours and b"VAGRANT_DOTFILE_PATH=" + os.fsencode(folder) in environment:
            found.append(int(process.name))
    return found
