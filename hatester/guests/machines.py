"""The folder of a run's machines, and the end of all that runs in it.

A run holds the lock of its folder while it lives. A folder whose lock is free belongs to a run
that was killed: its machines are ended by the next run. The files that machines use, or would use
when they are started again, are not removed from the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from hatester.artifacts import cache
from hatester.artifacts.gc import Roots
from hatester.util import process
from hatester.util.errors import UserError
from hatester.util.locks import is_held, locked, shared, taken
from hatester.util.paths import MACHINES, PROJECT

_KEPT = "kept"
_LOCK = ".lock"
_PURPOSE = "starts or sweeps runs"
_QEMU = "qemu-system"
_VAGRANT = "vagrant"
_DISK = "disk-system"
_FOLDER = "VAGRANT_DOTFILE_PATH"
"""The variable with the folder of Vagrant's machines, in the environments of Vagrant and QEMU."""
_SECONDS = 20.0


@contextlib.contextmanager
def machines_folder(name: str) -> Iterator[Path]:
    """Open a folder for the machines of the run `name`; none of them is left when it closes.

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
            except OSError as error:
                raise UserError(f"{folder} cannot be made: {error.strerror}.") from error
            undo.enter_context(taken(folder / "lock", f"{folder} is another run's."))
        try:
            yield folder
        finally:
            if not is_kept(folder):
                remove(folder)


def _runs() -> Path:
    return cache.root() / "runs"


def folders() -> dict[Path, bool]:
    """Return the folders of all runs; True for one that a run or its user still needs."""
    runs = _runs()
    # A run that starts must not find its own lock held by a process that only looks.
    with shared(runs / _LOCK, _PURPOSE):
        return {each: is_held(each / "lock") or is_kept(each) for each in _inside(runs)}


def _inside(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if path.is_dir())


def keep(folder: Path) -> None:
    """Let the machines of a folder go on when their run ends."""
    (folder / _KEPT).touch()


def is_kept(folder: Path) -> bool:
    """Return True if a folder was kept, and still has a machine or a Vagrant at work.

    Vagrant forgets a machine some time before it ends: it must not be killed meanwhile.
    """
    return (folder / _KEPT).exists() and (bool(kept_machines(folder)) or _has_vagrant(folder))


def kept_machines(folder: Path) -> list[str]:
    """Return the names of the machines in a folder, by Vagrant's own record."""
    return sorted(path.parent.parent.name for path in folder.glob("machines/*/qemu/id"))


def _sweep(runs: Path) -> None:
    """End what killed runs left behind."""
    for folder in _inside(runs):
        # A run that starts has its lock before the next one sweeps.
        if not (is_held(folder / "lock") or is_kept(folder)):
            remove(folder)
    process.kill_all(strays, "The processes of a killed run")


def remove(folder: Path) -> None:
    """End every machine of a folder, and remove it. Raises UserError for one that does not end."""
    end(folder)
    # It may be gone: another process can remove it as well.
    shutil.rmtree(folder, ignore_errors=True)


def end(folder: Path) -> None:
    """End every machine of a folder. Raises UserError for one that does not end."""
    process.kill_all(lambda: pids(folder), f"QEMU or Vagrant in {folder}")


def pids(folder: Path) -> list[int]:
    """Return the pids of QEMU and Vagrant processes whose machines are in a folder.

    Vagrant counts, since one that outlives its run could still start a machine.
    """
    return [
        pid
        for pid, words in _commands(folder)
        if any(_QEMU in word or _VAGRANT in word for word in words)
    ]


def _has_vagrant(folder: Path) -> bool:
    return any(
        _QEMU not in words[0] and any(_VAGRANT in word for word in words)
        for _, words in _commands(folder)
    )


def _commands(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the pid and the command of each process that has a folder of machines."""
    for each, words, environment in _processes():
        if words and environment.get(_FOLDER) == str(folder):
            yield each.pid, words


def strays() -> list[int]:
    """Return the pids of processes that killed runs left, and of QEMUs without a folder.

    A process of a folder that exists belongs to `pids`.
    """
    return [
        each.pid
        for each, words, environment in _processes()
        if _is_homeless(words) or (process.is_orphan(each) and not _has_folder(environment))
    ]


def _processes() -> Iterator[tuple[psutil.Process, list[str], dict[str, str]]]:
    for each in process.others():
        with contextlib.suppress(psutil.Error):  # it has ended
            yield each, each.cmdline(), each.environ()


def _has_folder(environment: dict[str, str]) -> bool:
    return _FOLDER in environment and Path(environment[_FOLDER]).is_dir()


def _is_homeless(words: list[str]) -> bool:
    """Return True for a QEMU of ours (provision/qemu/driver.rb) whose disk's folder is gone."""
    if not words or _QEMU not in words[0]:
        return False
    is_ours = any(word.startswith("hatester-") for word in words)
    return is_ours and any(not disk.parent.exists() for word in words for disk in _disk(word))


def _disk(word: str) -> Iterator[Path]:
    """Yield the absolute path of the machine's own disk, if a word of `-blockdev` describes it."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        node = json.loads(word)
        path = Path(node["file"]["filename"])
        if node["node-name"] == _DISK and path.is_absolute():
            yield path


def find_roots() -> Roots:
    """Return the roots that machines use: those that run, were kept, or were started by hand.

    Raises UserError where the declaration of a machine that was started by hand cannot be read.
    """
    runs = folders()
    needed = [(folder, folder / "machines.json") for folder, is_needed in runs.items() if is_needed]
    killed = {pid for folder, is_needed in runs.items() if not is_needed for pid in pids(folder)}
    declared = [
        file
        for folder, declarations in (*needed, (PROJECT / ".vagrant", MACHINES))
        for file in _files_of_machines(folder, declarations)
    ]
    files = {file.resolve() for file in (*declared, *_open_files(killed))}
    return Roots(files, runs, end)


def _open_files(killed: set[int]) -> Iterator[Path]:
    """Yield the files that QEMU processes have open, except those of killed runs."""
    for each, words, _ in _processes():
        if words and _QEMU in words[0] and each.pid not in killed:
            with contextlib.suppress(psutil.Error):  # it has ended
                yield from (Path(file.path) for file in each.open_files())


def _files_of_machines(folder: Path, declarations: Path) -> Iterator[Path]:
    """Yield the files that the machines in a folder are declared with, and those below their disks.

    A machine that was started by hand can be older than its declaration.
    """
    if not (names := kept_machines(folder)):
        return
    try:
        images = json.loads(declarations.read_text())
    except FileNotFoundError:
        images = {}
    except ValueError as error:
        raise UserError(f"{declarations} does not say what its machines need: {error}.") from error
    for name in names:
        yield from _paths(images.get(name))
        yield from _backing_file(folder / "machines" / name / "qemu/disk.qcow2")


def _paths(declared: object) -> Iterator[Path]:
    if isinstance(declared, dict):
        for each in declared.values():
            yield from _paths(each)
    elif isinstance(declared, str) and declared.startswith("/"):
        yield Path(declared)


def _backing_file(disk: Path) -> Iterator[Path]:
    """Yield the file below a qcow2 disk, if there is one."""
    command = ["qemu-img", "info", "--force-share", "--output=json", str(disk)]
    with contextlib.suppress(process.CommandError):
        if name := json.loads(process.run(command, seconds=_SECONDS)).get("full-backing-filename"):
            yield Path(name)
