"""The prober: a fresh connection to every address on a fixed schedule, an open loop.

A client that waits for one answer before it asks again stops looking just when there is something
to see. This one asks by its schedule, however the earlier connections ended.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import itertools
import os
import resource
import select
import socket
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Optional

from provision.guest import clock
from provision.guest.connections import BY_BYTES, CONNECT, Target, failure, judge

Record = tuple[int, float, float, float, str, Optional[str], Optional[str]]
"""Index of the target; when the probe was due, sent and ended, in seconds since the origin; its
outcome, the name of its errno, and the configuration that answered."""
Runs = dict[int, tuple[str, float, float]]
"""For each target its last outcome, since when its probes end in that, and when the last did."""

_NEWS_SECONDS = 0.1
# An answer is taken when it is complete, all at once: to wake up for each part of it takes long.
# It has to fit into the receive buffer, or it never is. Where any byte will do, the first is
# enough. The kernel reports errors unasked (epoll_ctl(2)).
_COMPLETE = select.EPOLLRDHUP
_BEGUN = select.EPOLLIN | select.EPOLLRDHUP
_ANSWER_BYTES = 4096


class News(NamedTuple):
    """A summary of the probes so far."""

    runs: Runs
    answered: float | None
    """The time of the last answer to a probe."""


class Prober:
    """Connects to each target every `interval` seconds; a probe lives `life` seconds at most.

    Its parent gets news meanwhile if it `is_followed`.

    All targets are asked together: to wake up for each by itself, and HAProxy with it, takes nearly
    twice as much of the processor. Times are those of the monotonic clock, since `origin`.
    """

    def __init__(
        self,
        targets: list[Target],
        interval: float,
        life: float,
        origin: float,
        is_followed: bool = True,
    ) -> None:
        self.targets = targets
        self.interval = interval
        self.life = life
        self.origin = origin
        self.is_followed = is_followed
        self._epoll = select.epoll()
        # By its file, each probe's socket, index, due and sent; in the order in which they began.
        self._living: dict[int, tuple[socket.SocketType, int, float, float]] = {}
        self._records: list[Record] = []
        self._reported = 0
        self._runs: Runs = {}
        self._answered: float | None = None
        # Most answers are alike.
        self._judge = functools.lru_cache(maxsize=16)(judge)

    def run(self, parent: Connection) -> None:
        """Probe until the parent says anything or goes, and then until every probe has ended.

        Meanwhile the parent is sent News, and at last a mapping: `probes`, the records in the order
        in which they were due, and `probing`, their cost.
        """
        gc.disable()  # its pauses would delay probes; there are no cycles to collect
        # As many probes live at once as begin in a life, when none of them is answered.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._epoll.register(parent.fileno(), select.EPOLLIN)
        start = clock.following(time.monotonic(), self.origin, clock.grid(self.interval))
        due = news = start
        rounds = itertools.count(1)
        is_stopped = False
        while self._living or not is_stopped:
            while not is_stopped and due <= time.monotonic():
                for index in range(len(self.targets)):
                    self._send(index, due)
                due = start + next(rounds) * self.interval
            wake = news if is_stopped else min(news, due)
            for file, events in self._epoll.poll(max(0.0, wake - time.monotonic())):
                if file == parent.fileno():
                    is_stopped = True
                    self._epoll.unregister(file)
                    # Unread data would reset the pipe, and with it all data that is still in it.
                    with contextlib.suppress(EOFError):
                        parent.recv()
                else:
                    self._go_on(file, events)
            if time.monotonic() >= news:
                self._end_old()
                if self.is_followed:
                    parent.send(self._news())
                news = time.monotonic() + _NEWS_SECONDS
        parent.send(self._evidence(start))

    def _send(self, index: int, due: float) -> None:
        """Begin a probe. Within one machine the connection is mostly made, or failed, at once."""
        target = self.targets[index]
        sent = time.monotonic()
        try:
            connection = target.open()
        except OSError as error:
            self._record(index, due, sent, *failure(error, target.answer))
            return
        file = connection.fileno()
        self._living[file] = (connection, index, due, sent)
        code = connection.connect_ex(target.place)
        if code not in (0, errno.EINPROGRESS):
            self._end(file, *failure(OSError(code, os.strerror(code)), target.answer))
            return
        try:
            # It is refused while there is no connection.
            connection.send(target.request)
            if target.answer == CONNECT:
                self._end(file, "ok")
            else:
                self._epoll.register(file, _events_of(target))
        except BlockingIOError:
            self._epoll.register(file, select.EPOLLOUT)
        except OSError as error:
            self._end(file, *failure(error, target.answer))

    def _go_on(self, file: int, events: int) -> None:
        """Handle a socket that is ready for the request, or has a complete answer or an error."""
        connection, index, _, _ = self._living[file]
        target = self.targets[index]
        try:
            if events & select.EPOLLOUT:
                connection.send(target.request)
                if target.answer == CONNECT:
                    self._end(file, "ok")
                    return
                self._epoll.modify(file, _events_of(target))
                return
            received = connection.recv(_ANSWER_BYTES)
            # Only what is long, or ended by an error, has more than this.
            is_more = events != _COMPLETE or len(received) == _ANSWER_BYTES
            if is_more and not (received and target.answer in BY_BYTES):
                while chunk := connection.recv(_ANSWER_BYTES):
                    received += chunk
        except OSError as error:
            self._end(file, *failure(error, target.answer))
        else:
            outcome, answer = self._judge(target.answer, received)
            self._end(file, outcome, None, answer)

    def _end_old(self) -> None:
        """All have the same life."""
        oldest = time.monotonic() - self.life
        living = self._living.items()
        for file, _ in list(itertools.takewhile(lambda each: each[1][3] <= oldest, living)):
            self._end(file, "timeout")

    def _end(
        self, file: int, outcome: str, error: str | None = None, answer: str | None = None
    ) -> None:
        connection, index, due, sent = self._living.pop(file)
        self._record(index, due, sent, outcome, error, answer)
        connection.close()

    def _record(
        self,
        index: int,
        due: float,
        sent: float,
        outcome: str,
        error: str | None,
        answer: str | None = None,
    ) -> None:
        self._records.append((index, due, sent, time.monotonic(), outcome, error, answer))

    def _news(self) -> News:
        for index, _, _, ended, outcome, _, _ in self._records[self._reported :]:
            seen = ended - self.origin
            before, since, _ = self._runs.get(index, ("", seen, seen))
            self._runs[index] = (outcome, since if outcome == before else seen, seen)
            if outcome == "ok":
                self._answered = seen
        self._reported = len(self._records)
        return News(self._runs, self._answered)

    def _evidence(self, start: float) -> dict[str, Any]:
        """Put into its form only at the end, when that keeps no probe waiting."""
        cost = {
            "cpu_seconds": round(time.process_time(), clock.DIGITS),
            "seconds": round(time.monotonic() - start, clock.DIGITS),
            "processors": os.cpu_count(),
        }
        probes = [
            (index, self._since(due), self._since(sent), self._since(ended), *rest)
            for index, due, sent, ended, *rest in sorted(self._records, key=lambda each: each[1])
        ]
        return {"probes": probes, "probing": cost}

    def _since(self, moment: float) -> float:
        return round(moment - self.origin, clock.DIGITS)


def _events_of(target: Target) -> int:
    """Return the events (epoll_ctl(2)) that show that a probe of a target is answered."""
    return _BEGUN if target.answer in BY_BYTES else _COMPLETE
