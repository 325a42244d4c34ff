"""Which processes are hatester's, and the end of those that nobody waits for any more (proc(5)).

Whatever this process starts has its OWNER in the environment, and hands that on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hatester.util.errors import UserError

OWNER = "HATESTER_OWNER"
FOLDER = "VAGRANT_DOTFILE_PATH"
"""Where Vagrant keeps its machines, of which it is told by its environment, and QEMU by it."""
END_SECONDS = 10.0
_POLL_SECONDS = 0.02
_START_TIME = 19
"""Its place among the fields of /proc/PID/stat that come after the name."""


def owner() -> str:
    """This process, by its pid and its start, since pids are used again."""
    return f"{os.getpid()}:{_start_time(os.getpid())}"


def machines(folder: Path) -> list[int]:
    """The pids of QEMU and Vagrant processes whose machines are in a folder.

    Vagrant counts itself, since one that outlives its run could start a machine yet.
    """
    return [
        pid
        for pid, command, environment in _all()
        if (b"qemu-system" in command or b"vagrant" in command)
        and _setting(environment, FOLDER) == str(folder)
    ]


def strays() -> list[int]:
    """The pids of what this user's processes that were killed have left, and of machines whose
    folders are gone, which nobody can have any more. What has a folder is ended by `machines`."""
    return [
        pid
        for pid, command, environment in _all()
        if _is_homeless(command) or (_is_orphan(environment) and not _has_folder(environment))
    ]


def end(find: Callable[[], list[int]], what: str) -> None:
    """Kill the processes that `find` finds until it finds none.

    Raises UserError when they do not end, in which they are called `what`.
    """
    deadline = time.monotonic() + END_SECONDS
    while pids := find():
        if time.monotonic() > deadline:
            raise UserError(f"{what} (pids {', '.join(map(str, pids))}) cannot be ended.")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _all() -> Iterator[tuple[int, bytes, dict[bytes, bytes]]]:
    """This user's processes but for this one: pids, command lines, and environments.

    Not those of other containers, whose pids and paths mean something else here.
    """
    here = _namespaces(Path("/proc/self"))
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            pid = int(process.name)
            is_mine = process.stat().st_uid == os.getuid() and pid != os.getpid()
            if is_mine and _namespaces(process) == here:
                environment = (process / "environ").read_bytes().split(b"\0")
                settings = dict(each.partition(b"=")[::2] for each in environment)
                yield pid, (process / "cmdline").read_bytes(), settings


def _namespaces(process: Path) -> list[int]:
    return [(process / "ns" / kind).stat().st_ino for kind in ("pid", "mnt")]


def _setting(environment: Mapping[bytes, bytes], name: str) -> str:
    return os.fsdecode(environment.get(name.encode(), b""))


def _has_folder(environment: Mapping[bytes, bytes]) -> bool:
    folder = _setting(environment, FOLDER)
    return bool(folder) and Path(folder).is_dir()


def _is_orphan(environment: Mapping[bytes, bytes]) -> bool:
    """Whether the OWNER of a process is no more."""
    pid, _, start = _setting(environment, OWNER).partition(":")
    return pid.isdecimal() and _start_time(int(pid)) != start


def _is_homeless(command: bytes) -> bool:
    """Whether it is a QEMU of ours (provision/qemu/driver.rb) whose log has no folder any more."""
    words = command.split(b"\0")
    if b"qemu-system" not in words[0] or b"-D" not in words:
        return False
    is_ours = any(word.startswith(b"hatester-") for word in words)
    log = Path(os.fsdecode(words[words.index(b"-D") + 1]))
    return is_ours and log.is_absolute() and not log.parent.exists()


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; nothing for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name may have blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[_START_TIME]
