"""Who owns the listening sockets of the addresses, seen from /proc at a steady rate."""

from __future__ import annotations

import contextlib
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from provision.guest.connections import Target
from provision.guest.network import printed
from provision.guest.owners import Owners

_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_DIGITS = 5
_ANY = ("0.0.0.0", "::")


class Sampler:
    """Looks every `interval` seconds; times are those of the monotonic clock since `origin`."""

    def __init__(self, targets: list[Target], tree: Path, interval: float, origin: float) -> None:
        self.interval = interval
        self.origin = origin
        self._labels: dict[str, list[str]] = {}
        for target in targets:
            for address in (target.address, *_ANY):
                labels = self._labels.setdefault(printed(address, target.port), [])
                labels.append(target.label)
        self._tables = [
            os.open(path, os.O_RDONLY)
            for path in ("/proc/net/tcp", "/proc/net/tcp6")
            if Path(path).exists()
        ]
        self._owners = Owners(tree)
        self._open: dict[tuple[str, str], dict[str, Any]] = {}
        self._stretches: list[dict[str, Any]] = []

    def run(self, parent: Connection) -> None:
        """Look until the parent says anything or goes; then send it what was seen.

        That is `listeners`, stretches in which the same processes held a listening socket of an
        address, with the longest accept queue; `processes`, with the time in which each was there;
        and `sampling`, what the looking cost.
        """
        start = due = time.monotonic()
        samples = 0
        while not parent.poll(max(0.0, due - time.monotonic())):
            self._sample()
            samples += 1
            # A sample that came late is no reason for another one at once.
            due = max(due + self.interval, time.monotonic())
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

    def _listening(self) -> list[tuple[str, str, int]]:
        """Label, inode and accept queue of each listening socket (proc_pid_net(5)).

        The kernel lists listening sockets first, and the others, which may be thousands, are not
        even asked for (tcp4_seq_show of net/ipv4/tcp_ipv4.c).
        """
        found = []
        for table in self._tables:
            os.lseek(table, 0, os.SEEK_SET)
            rest = ""
            while chunk := os.read(table, 65536).decode():
                *lines, rest = (rest + chunk).split("\n")
                fields = [line.split() for line in lines]
                for each in fields:
                    if each[3] == _LISTEN:
                        queue = int(each[4].partition(":")[2], 16)
                        for label in self._labels.get(each[1], ()):
                            found.append((label, each[9], queue))
                if fields and fields[-1][3] not in (_LISTEN, "st"):
                    break
        return found
