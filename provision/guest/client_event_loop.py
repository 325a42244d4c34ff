"""The event loop that clients of several kinds share, and their connections."""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import select
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from provision.guest.connections import Target

_HEARD = select.EPOLLIN | select.EPOLLRDHUP
_BYTES = 65536


class Loop:
    """Files that are watched, and moments at which something is due, in one thread.

    Times are seconds on the monotonic clock since `origin`. Nothing new may be asked once it
    `is_ending`.
    """

    def __init__(self, origin: float) -> None:
        self.origin = origin
        self.is_ending = False
        self._epoll = select.epoll()
        self._actions: dict[int, Callable[[int], None]] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return the time."""
        return time.monotonic() - self.origin

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Have something done at a moment."""
        heapq.heappush(self._due, (moment, next(self._numbers), action))

    def every(self, interval: float, start: float, action: Callable[[float], None]) -> None:
        """Have something done with each moment `interval` seconds apart, until the end."""

        def turn(number: int) -> None:
            if not self.is_ending:
                action(start + number * interval)
                self.at(start + (number + 1) * interval, lambda: turn(number + 1))

        self.at(start, lambda: turn(0))

    def watch(self, file: int, events: int, action: Callable[[int], None]) -> None:
        """Have something done with these events (epoll_ctl(2)) of a file."""
        if file in self._actions:
            self._epoll.modify(file, events)
        else:
            self._epoll.register(file, events)
        self._actions[file] = action

    def forget(self, file: int) -> None:
        """Watch a file no more."""
        if self._actions.pop(file, None):
            self._epoll.unregister(file)

    def run(self, parent: Connection, is_busy: Callable[[], bool], seconds: float) -> None:
        """Run until the parent says anything or goes, and then as long as something is busy.

        That takes `seconds` at most.
        """
        deadline = 0.0

        def end(_: int) -> None:
            nonlocal deadline
            self.forget(parent.fileno())
            with contextlib.suppress(EOFError):
                parent.recv()  # unread data would reset the pipe
            self.is_ending, deadline = True, self.now() + seconds

        self.watch(parent.fileno(), select.EPOLLIN, end)
        while not self.is_ending or (is_busy() and self.now() < deadline):
            left = self._due[0][0] - self.now() if self._due else seconds
            for file, events in self._epoll.poll(max(0.0, left)):
                if file in self._actions:  # another one's action may have closed it
                    self._actions[file](events)
            while self._due and self._due[0][0] <= self.now():
                heapq.heappop(self._due)[2]()


class Link:
    """A connection that never waits.

    `hear` gets what is received; `end` an error, or None for an orderly end, after which nothing
    more is received. Opening it and sending may raise OSError.
    """

    def __init__(
        self,
        loop: Loop,
        target: Target,
        hear: Callable[[bytes], None],
        end: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._hear = hear
        self._end = end
        self._unsent = b""
        self._socket = target.open()
        code = self._socket.connect_ex(target.place)
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(code, os.strerror(code))
        loop.watch(self._socket.fileno(), _HEARD, self._go_on)

    def send(self, data: bytes) -> None:
        """Send, or do so as soon as the connection is made."""
        self._unsent += data
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        self._unsent = self._unsent[sent:]
        events = _HEARD | (select.EPOLLOUT if self._unsent else 0)
        self._loop.watch(self._socket.fileno(), events, self._go_on)

    def close(self) -> None:
        """Close it; `end` is not called then."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _go_on(self, events: int) -> None:
        error: OSError | None = None
        try:
            if events & select.EPOLLOUT:
                self.send(b"")
            data = self._socket.recv(_BYTES)
        except BlockingIOError:
            return
        except OSError as failed:
            data, error = b"", failed
        if data:
            self._hear(data)
        else:
            self._loop.forget(self._socket.fileno())
            self._end(error)
