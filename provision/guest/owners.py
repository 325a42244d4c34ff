"""Which processes hold a socket, found in /proc without looking at everything each time."""

from __future__ import annotations

import contextlib
import math
import os
import select
from pathlib import Path
from typing import Any

from provision.guest.processes import disk_of, disk_of_build, pids

_YOUNG_SECONDS = 1.0
_TRUSTED_SECONDS = 0.25


class Owners:
    """HAProxy's processes, by the tree that they come from; and the strangers that hold its
    sockets."""

    def __init__(self, tree: Path) -> None:
        self._build = disk_of_build(tree)
        self.processes: dict[int, dict[str, Any]] = {}
        """Each that was seen, with its `pid`, its `kind` (haproxy or stranger), and when it was
        seen first (`from`) and last (`to`)."""
        self._load = os.open("/proc/loadavg", os.O_RDONLY)
        self._newest = b""
        self._known: set[int] = set()
        self._young: dict[int, float] = {}
        self._living: set[int] = set()
        self._ends = select.poll()
        self._files: dict[int, int] = {}
        self._seen: tuple[set[str], set[int]] = (set(), set())
        self._due = 0.0
        self._held: dict[str, list[int]] = {}
        self._strangers: dict[str, list[int]] = {}
        self._missing: set[str] = set()

    def holders(self, sockets: set[str], now: float) -> dict[str, list[int]]:
        """The processes that hold each socket, which is given by its inode's number.

        A socket that is on its way from one process to another has none. `now` is seconds on a
        clock. All open files are looked at when sockets or processes have come or gone, and every
        quarter of a second: so late a socket may be seen in the hands of another process.
        """
        self._find_processes(now)
        seen = (sockets, set(self._living))
        if seen != self._seen or now >= self._due or self._missing:
            self._held = _by_socket(self._living)
            self._seen, self._due = seen, now + _TRUSTED_SECONDS
        missing = sockets - self._held.keys()
        # One that has just lost its last owner is gone at the next look; a stranger's is not.
        self._search((missing & self._missing) - self._strangers.keys())
        self._missing = missing - self._strangers.keys()
        for pid in {pid for each in missing for pid in self._strangers.get(each, [])}:
            self._note(pid, "stranger", now)
        return {each: self._held.get(each) or self._strangers.get(each, []) for each in sockets}

    def _find_processes(self, now: float) -> None:
        newest = os.pread(self._load, 100, 0).split()[-1]  # proc_loadavg(5): the last PID
        if newest != self._newest:
            self._newest = newest
            known, self._known = self._known, pids()
            # Those that were there before the first look are what they will be.
            self._young.update(dict.fromkeys(self._known - known, now if known else -math.inf))
        for pid, seen in list(self._young.items()):
            # A process may come to its own program a moment after it was made.
            if disk_of(pid) == self._build:
                self._follow(pid)
            if pid in self._living or now - seen > _YOUNG_SECONDS:
                del self._young[pid]
        for file, _ in self._ends.poll(0):
            self._living.remove(self._files.pop(file))
            self._ends.unregister(file)
            os.close(file)
        for pid in self._living:
            self._note(pid, "haproxy", now)

    def _follow(self, pid: int) -> None:
        """Have the kernel tell of its end (pidfd_open(2)); to look each time takes longer."""
        with contextlib.suppress(ProcessLookupError):
            file = os.pidfd_open(pid)
            self._ends.register(file, select.POLLIN)
            self._files[file] = pid
            self._living.add(pid)

    def _search(self, sockets: set[str]) -> None:
        """Look for sockets in all processes of this machine, which takes a while."""
        if sockets:
            found = _by_socket(self._known)
            self._strangers.update({each: found.get(each, []) for each in sockets})

    def _note(self, pid: int, kind: str, now: float) -> None:
        process = self.processes.setdefault(pid, {"pid": pid, "kind": kind, "from": now})
        process["to"] = now


def _by_socket(processes: set[int]) -> dict[str, list[int]]:
    """The processes that hold each socket, among these (proc_pid_fd(5))."""
    found: dict[str, list[int]] = {}
    for pid in sorted(processes):
        try:
            links = {_link(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208
        except OSError:  # it has ended
            continue
        for link in links:
            if link.startswith("socket:["):
                found.setdefault(link[8:-1], []).append(pid)
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except FileNotFoundError:  # it was closed in between
        return ""
