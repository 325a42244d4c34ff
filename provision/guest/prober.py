"""The prober: a fresh connection to every address on a fixed schedule, an open loop.

A client that waits for one answer before it asks again stops looking just when there is something
to see. This one asks when the schedule says so, whatever became of the connections before.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import os
import resource
import select
import socket
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Optional

from provision.guest.connections import REQUEST, Target, failure, judge

Record = tuple[int, float, float, float, str, Optional[str], Optional[str]]
"""Index of the target; when the probe was due, sent and ended, in seconds since the origin; its
outcome, the name of its errno, and the configuration that answered."""

_DELIVERY_SECONDS = 0.1
_DIGITS = 5


class _Probe:
    """One connection on its way."""

    __slots__ = ("due", "has_asked", "index", "received", "sent", "socket")

    def __init__(self, index: int, due: float, sent: float) -> None:
        self.index = index
        self.due = due
        self.sent = sent
        self.socket: socket.socket | None = None
        self.has_asked = False
        self.received = b""

    def ask(self) -> bool:
        """Send the request, if the connection is made. Raises OSError when it failed."""
        assert self.socket is not None
        try:
            self.socket.send(REQUEST)
        except BlockingIOError:
            return False
        self.has_asked = True
        return True

    def receive(self) -> bool:
        """Take what has come; returns whether that is all. Raises OSError when it failed."""
        assert self.socket is not None
        try:
            while chunk := self.socket.recv(65536):
                self.received += chunk
        except BlockingIOError:
            return False
        return True


class Prober:
    """Connects to each target every `interval` seconds; a probe lives `life` seconds at most.

    The targets' moments are spread evenly over the interval. Times are those of the monotonic
    clock, since `origin`.
    """

    def __init__(self, targets: list[Target], interval: float, life: float, origin: float) -> None:
        self.targets = targets
        self.step = interval / len(targets)
        self.life = life
        self.origin = origin
        self._epoll = select.epoll()
        self._by_file: dict[int, _Probe] = {}
        self._living: deque[_Probe] = deque()
        self._records: list[Record] = []
        # Most answers are alike.
        self._judge = functools.lru_cache(maxsize=16)(judge)

    def run(self, parent: Connection) -> None:
        """Probe until the parent says anything or goes, and then until every probe has ended.

        What was seen is sent to the parent as lists of records, in the order in which probes end;
        and at last, as a mapping, what it cost.
        """
        gc.disable()  # its pauses would delay probes; there are no cycles to collect
        # As many probes live at once as begin in a life, when none of them is answered.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._epoll.register(parent.fileno(), select.EPOLLIN)
        start = delivery = time.monotonic()
        number = 0
        is_stopped = False
        while self._by_file or not is_stopped:
            while not is_stopped and (due := start + number * self.step) <= time.monotonic():
                self._send(number % len(self.targets), due)
                number += 1
            wake = delivery if is_stopped else min(delivery, start + number * self.step)
            for file, _ in self._epoll.poll(max(0.0, wake - time.monotonic())):
                if file == parent.fileno():
                    is_stopped = True
                    self._epoll.unregister(file)
                    # What is left unread would reset the pipe, with all that is still in it.
                    with contextlib.suppress(EOFError):
                        parent.recv()
                else:
                    self._go_on(file, self._by_file[file])
            if time.monotonic() >= delivery:
                self._end_old()
                self._deliver(parent)
                delivery = time.monotonic() + _DELIVERY_SECONDS
        self._deliver(parent)
        parent.send(
            {
                "cpu_seconds": round(time.process_time(), _DIGITS),
                "seconds": round(time.monotonic() - start, _DIGITS),
                "processors": os.cpu_count(),
            }
        )

    def _send(self, index: int, due: float) -> None:
        """Begin a probe. Within one machine the connection is mostly made, or failed, at once."""
        target = self.targets[index]
        probe = _Probe(index, due, time.monotonic())
        try:
            probe.socket = target.open()
            probe.socket.setblocking(False)
            error = probe.socket.connect_ex((target.address, target.port))
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
            ready = select.EPOLLIN if probe.ask() else select.EPOLLOUT
        except OSError as error:
            self._end(probe, *failure(error))
        else:
            file = probe.socket.fileno()
            self._epoll.register(file, ready)
            self._by_file[file] = probe
            self._living.append(probe)

    def _go_on(self, file: int, probe: _Probe) -> None:
        """A socket is ready: for the request, or with an answer, its end or an error."""
        try:
            if not probe.has_asked:
                if probe.ask():
                    self._epoll.modify(file, select.EPOLLIN)
            elif probe.receive():
                outcome, answer = self._judge(probe.received)
                self._end(probe, outcome, None, answer)
        except OSError as error:
            self._end(probe, *failure(error))

    def _end_old(self) -> None:
        """The living are in the order of their birth, and all have the same life."""
        oldest = time.monotonic() - self.life
        while self._living and (self._living[0].sent <= oldest or self._is_over(self._living[0])):
            probe = self._living.popleft()
            if not self._is_over(probe):
                self._end(probe, "timeout")

    @staticmethod
    def _is_over(probe: _Probe) -> bool:
        return probe.socket is None or probe.socket.fileno() < 0

    def _end(
        self, probe: _Probe, outcome: str, error: str | None = None, answer: str | None = None
    ) -> None:
        ended = time.monotonic()
        if probe.socket is not None:
            self._by_file.pop(probe.socket.fileno(), None)
            probe.socket.close()
        due, sent, ended = (
            round(moment - self.origin, _DIGITS) for moment in (probe.due, probe.sent, ended)
        )
        self._records.append((probe.index, due, sent, ended, outcome, error, answer))

    def _deliver(self, parent: Connection) -> None:
        if self._records:
            parent.send(self._records)
            self._records = []
