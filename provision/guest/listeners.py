"""Who owns the listening sockets of the addresses, seen from /proc at a steady rate."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from provision.guest import clock
from provision.guest.connections import Target
from provision.guest.network import LISTENERS, listening, printed, unix_sockets
from provision.guest.owners import Owners

Socket = tuple[str, str, int]
"""Label, inode and accept queue of a listening socket; the queue of a UNIX socket is not known."""

_DIGITS = 5
_OFFSET_SECONDS = 0.013
"""By which it looks beside the moments at which the prober asks."""
_ANY = ("0.0.0.0", "::")


class Sampler:
    """Looks every `interval` seconds; times are those of the monotonic clock since `origin`."""

    def __init__(self, targets: list[Target], tree: Path, interval: float, origin: float) -> None:
        self.interval = interval
        self.origin = origin
        self._labels: dict[str, list[str]] = {}
        self._paths = {target.label for target in targets if not target.port}
        for target in targets:
            for address in (target.address, *_ANY) if target.port else ():
                labels = self._labels.setdefault(printed(address, target.port), [])
                labels.append(target.label)
        self._tables = [os.open(path, os.O_RDONLY) for path in LISTENERS if Path(path).exists()]
        # Mostly nothing has changed since the last look.
        self._parsed = functools.lru_cache(maxsize=len(self._tables))(self._parse)
        self._owners = Owners(tree)
        self._open: dict[tuple[str, str], dict[str, Any]] = {}
        self._stretches: list[dict[str, Any]] = []

    def run(self, parent: Connection) -> None:
        """Look until the parent says anything or goes; then send it what was seen.

        That is `listeners`, stretches in which the same processes held a listening socket of an
        address, with the longest accept queue; `processes`, with the time in which each was there;
        and `sampling`, what the looking cost.
        """
        now = time.monotonic()
        start = due = clock.following(now, self.origin, clock.GRID_SECONDS) + _OFFSET_SECONDS
        samples = 0
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        while not poll.poll(max(0.0, due - time.monotonic()) * 1000):
            self._sample()
            samples += 1
            # A sample that came late is no reason for another one at once.
            due = clock.following(max(due + self.interval, time.monotonic()), start, self.interval)
        with contextlib.suppress(EOFError):
            parent.recv()  # what is left unread would reset the pipe, with all that is in it
        parent.send(
            {
                "listeners": self._stretches,
                "processes": list(self._owners.processes.values()),
                "sampling": {
                    "interval": self.interval,
                    "samples": samples,
                    "cpu_seconds": round(time.process_time(), _DIGITS),
                    "seconds": round(time.monotonic() - start, _DIGITS),
                },
            }
        )

    def _sample(self) -> None:
        now = round(time.monotonic() - self.origin, _DIGITS)
        sockets = self._listening()
        holders = self._owners.holders({inode for _, inode, _ in sockets}, now)
        seen = set()
        for label, inode, queue in sockets:
            key = (label, inode)
            pids = holders[inode]
            stretch = self._open.get(key)
            if stretch is None or stretch["pids"] != pids:
                stretch = {"address": label, "pids": pids, "from": now, "to": now, "queue": queue}
                self._open[key] = stretch
                self._stretches.append(stretch)
            stretch["to"] = now
            stretch["queue"] = max(stretch["queue"], queue)
            seen.add(key)
        for key in self._open.keys() - seen:
            del self._open[key]

    def _listening(self) -> list[Socket]:
        found = [socket for table in self._tables for socket in self._parsed(listening(table))]
        if self._paths:
            found += [(name, inode, 0) for name, inode in unix_sockets() if name in self._paths]
        return found

    def _parse(self, table: bytes) -> list[Socket]:
        found = []
        for line in table.decode().splitlines()[1:]:
            fields = line.split()
            queue = int(fields[4].partition(":")[2], 16)
            found += [(label, fields[9], queue) for label in self._labels.get(fields[1], ())]
        return found
