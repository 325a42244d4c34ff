"""The guest's processes, by the root directory in which each of them lives."""

from __future__ import annotations

import os
from pathlib import Path


def pids() -> set[int]:
    """All of them."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208


Root = tuple[int, int]
"""A root directory, by its device and inode: it may have another name in each mount namespace, and
systemd puts the processes of a unit with a root directory into one of their own."""


def root(path: str) -> Root | None:
    """The root directory that a path leads to; None if it leads nowhere."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def root_of(pid: int) -> Root | None:
    """Where a process lives (proc_pid_root(5)); None for one that has ended, and the kernel's."""
    try:
        os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115  # the kernel's own have none
    except OSError:
        return None
    return root(f"/proc/{pid}/root")


def program(pid: int) -> str:
    """The name of a process's program (proc_pid_comm(5)), or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
