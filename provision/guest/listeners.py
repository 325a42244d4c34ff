"""The processes that hold the addresses' listening sockets, sampled from /proc."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import select
import time
from collections.abc import Collection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from provision.guest import clock
from provision.guest.connections import Target, kernel_name
from provision.guest.kernel import (
    LISTENERS,
    ProcessTable,
    datagram_sockets,
    disks_of_build,
    listening,
    printed,
    unix_sockets,
)

Socket = tuple[str, str, int]
"""Label, inode and accept queue of a listening socket; the queue of a UNIX socket is not known."""

_OFFSET_SECONDS = 0.013
"""The offset of its samples from the prober's probes."""
_ANY = ("0.0.0.0", "::")


class Sampler:
    """Looks every `interval` seconds; times are those of the monotonic clock since `origin`."""

    def __init__(
        self,
        targets: list[Target],
        datagrams: list[Target],
        tree: Path,
        interval: float,
        origin: float,
    ) -> None:
        """`datagrams` are bound by UDP."""
        self.interval = interval
        self.origin = origin
        self._labels: dict[str, list[str]] = {}
        self._paths = {
            kernel_name(target.label): target.label for target in targets if not target.port
        }
        for target in targets:
            for address in (target.address, *_ANY) if target.port else ():
                labels = self._labels.setdefault(printed(address, target.port), [])
                labels.append(target.label)
        self._datagrams = {printed(each.address, each.port): each.label for each in datagrams}
        self._tables = [os.open(path, os.O_RDONLY) for path in LISTENERS if Path(path).exists()]
        # Mostly nothing has changed since the last look.
        self._parsed = functools.lru_cache(maxsize=len(self._tables))(self._parse)
        self._owners = Owners(disks_of_build(tree), ProcessTable())
        self._listeners = _Stretches()
        self._dormant = _Stretches()

    def run(self, parent: Connection) -> None:
        """Look until the parent says anything or goes; then send it the findings.

        `listeners` are stretches in which the same processes held a listening socket of an address,
        with the longest accept queue; `dormant` are those in which they held it though it had left
        LISTEN. `processes` has the time in which each was there, `usage` what HAProxy's used,
        `sampling` the cost of the looking.
        """
        now = time.monotonic()
        start = due = clock.following(now, self.origin, clock.GRID_SECONDS) + _OFFSET_SECONDS
        samples = 0
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        while not poll.poll(max(0.0, due - time.monotonic()) * 1000):
            self._sample()
            samples += 1
            # A late sample is not followed by another one at once.
            due = clock.following(max(due + self.interval, time.monotonic()), start, self.interval)
        with contextlib.suppress(EOFError):
            parent.recv()  # what is left unread would reset the pipe, with all that is in it
        parent.send(
            {
                "listeners": self._listeners.found,
                "dormant": self._dormant.found,
                "processes": list(self._owners.processes.values()),
                "usage": self._owners.usage,
                "sampling": {
                    "interval": self.interval,
                    "samples": samples,
                    "cpu_seconds": round(time.process_time(), clock.DIGITS),
                    "seconds": round(time.monotonic() - start, clock.DIGITS),
                },
            }
        )

    def _sample(self) -> None:
        now = round(time.monotonic() - self.origin, clock.DIGITS)
        sockets = self._listening_sockets()
        holders = self._owners.holders({inode for _, inode, _ in sockets}, now)
        self._listeners.add([(*socket, holders[socket[1]]) for socket in sockets], now)
        left = self._listeners.known - {(label, inode) for label, inode, _ in sockets}
        kept = ((label, inode, self._owners.keepers(inode)) for label, inode in sorted(left))
        self._dormant.add([(label, inode, 0, pids) for label, inode, pids in kept if pids], now)

    def _listening_sockets(self) -> list[Socket]:
        found = [socket for table in self._tables for socket in self._parsed(listening(table))]
        if self._paths:
            names = ((self._paths.get(name), inode) for name, inode in unix_sockets())
            found += [(label, inode, 0) for label, inode in names if label]
        if self._datagrams:
            bound = ((self._datagrams.get(place), inode) for place, inode in datagram_sockets())
            found += [(label, inode, 0) for label, inode in bound if label]
        return found

    def _parse(self, table: bytes) -> list[Socket]:
        found = []
        for line in table.decode().splitlines()[1:]:
            fields = line.split()
            queue = int(fields[4].partition(":")[2], 16)
            found += [(label, fields[9], queue) for label in self._labels.get(fields[1], ())]
        return found


class _Stretches:
    """Stretches of time in which the same processes held a socket of an address."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.known: set[tuple[str, str]] = set()
        """Label and inode of all sockets so far."""
        self._open: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, sockets: list[tuple[str, str, int, list[int]]], now: float) -> None:
        """Add all that a look has seen: label, inode, queue and holders of each socket."""
        seen = set()
        for label, inode, queue, pids in sockets:
            key = (label, inode)
            stretch = self._open.get(key)
            if stretch is None or stretch["pids"] != pids:
                stretch = {"address": label, "pids": pids, "start": now, "end": now, "queue": queue}
                self._open[key] = stretch
                self.found.append(stretch)
            stretch["end"] = now
            stretch["queue"] = max(stretch["queue"], queue)
            seen.add(key)
        for key in self._open.keys() - seen:
            del self._open[key]
        self.known |= seen


_YOUNG_SECONDS = 1.0
_TRUSTED_SECONDS = 0.25
_USAGE_SECONDS = 1.0


class Owners:
    """HAProxy's processes, recognized by their program's disk; and strangers with its sockets."""

    def __init__(self, build: Collection[int | None], table: ProcessTable) -> None:
        """`build` has the numbers of the file systems of HAProxy's program."""
        self._build = build
        self._table = table
        self.processes: dict[int, dict[str, Any]] = {}
        """Each that was seen, with its `pid`, its `kind` (haproxy or stranger), and when it was
        seen first (`start`) and last (`end`)."""
        self.usage: list[tuple[float, int, int, float, int]] = []
        """What HAProxy's processes used, once a second: the fields of protocol.Usage."""
        self._newest = ""
        self._known: set[int] = set()
        self._young: dict[int, float] = {}
        self._living: set[int] = set()
        self._seen: tuple[set[str], set[int]] = (set(), set())
        self._due = 0.0
        self._held: dict[str, list[int]] = {}
        self._strangers: dict[str, list[int]] = {}
        self._missing: set[str] = set()
        self._usage_due = 0.0

    def keepers(self, inode: str) -> list[int]:
        """Return HAProxy's processes that hold a socket, listening or not, as of `holders`."""
        return self._held.get(inode, [])

    def holders(self, sockets: set[str], now: float) -> dict[str, list[int]]:
        """Return the processes that hold each socket, by its inode's number.

        A socket that is on its way from one process to another has none. `now` is seconds on a
        clock. All open files are looked at when sockets or processes have come or gone, and every
        quarter of a second. A socket's new holder may be seen so late.
        """
        self._find_processes(now)
        seen = (sockets, set(self._living))
        if seen != self._seen or now >= self._due or self._missing:
            self._held = self._table.holders(self._living)
            self._seen, self._due = seen, now + _TRUSTED_SECONDS
        missing = sockets - self._held.keys()
        # A socket that has just lost its last owner is gone at the next look; a stranger's is not.
        self._search((missing & self._missing) - self._strangers.keys())
        self._missing = missing - self._strangers.keys()
        for pid in {pid for each in missing for pid in self._strangers.get(each, [])}:
            self._note(pid, "stranger", now)
        return {each: self._held.get(each) or self._strangers.get(each, []) for each in sockets}

    def _find_processes(self, now: float) -> None:
        newest = self._table.newest()
        if newest != self._newest:
            self._newest = newest
            known, self._known = self._known, self._table.all()
            # Those that were there before the first look are what they will be.
            self._young.update(dict.fromkeys(self._known - known, now if known else -math.inf))
        for pid, seen in list(self._young.items()):
            # A process may come to its own program a moment after it was made.
            if self._table.disk_of(pid) in self._build and self._table.follow(pid):
                self._living.add(pid)
            if pid in self._living or now - seen > _YOUNG_SECONDS:
                del self._young[pid]
        self._living.difference_update(self._table.ended())
        for pid in self._living:
            self._note(pid, "haproxy", now)
        if now >= self._usage_due:
            self._usage_due = now + _USAGE_SECONDS
            used = ((pid, self._table.usage(pid)) for pid in sorted(self._living))
            self.usage += [(now, pid, *each) for pid, each in used if each]

    def _search(self, sockets: set[str]) -> None:
        """Look for sockets in all processes of this machine, which is slow."""
        if sockets:
            found = self._table.holders(self._known)
            self._strangers.update({each: found.get(each, []) for each in sockets})

    def _note(self, pid: int, kind: str, now: float) -> None:
        process = self.processes.setdefault(pid, {"pid": pid, "kind": kind, "start": now})
        process["end"] = now
