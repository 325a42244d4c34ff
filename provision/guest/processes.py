"""The guest's processes, by the disk that each of them comes from."""

from __future__ import annotations

import os
from pathlib import Path


def pids() -> set[int]:
    """All of them."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208


def disk(path: str) -> int | None:
    """The number of the file system that a path leads to (stat(2)); None if it leads nowhere.

    Each build has one of its own, so this tells whose program a process runs, wherever it is
    rooted: HAProxy itself can be told to go to another root, and systemd gives a unit's processes
    a mount namespace with other names for all of them.
    """
    try:
        return os.stat(path).st_dev  # noqa: PTH116
    except OSError:
        return None


def disk_of(pid: int) -> int | None:
    """Where a process's program is (proc_pid_exe(5)); None for one that has ended, and the
    kernel's."""
    return disk(f"/proc/{pid}/exe")


def disk_of_build(tree: Path) -> int | None:
    """Return the number of the file system of a build's HAProxy.

    It is not the one of its root, where an overlay lies over it (the kernel's
    Documentation/filesystems/overlayfs.rst, section Inode properties).
    """
    return disk(f"{tree}/usr/sbin/haproxy")


def is_asleep(pid: int) -> bool:
    """Whether a process waits for something, or has ended (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "R"
    except OSError:
        return True


def program(pid: int) -> str:
    """The name of a process's program (proc_pid_comm(5)), or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
