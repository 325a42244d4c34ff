"""Sessions: connections that are held, by TCP or as WebSockets (RFC 6455), with a byte at times."""

from __future__ import annotations

from collections.abc import Callable

from provision.guest.client_event_loop import Link, Loop
from provision.guest.client_records import Session
from provision.guest.clock import DIGITS
from provision.guest.connections import Target, failure

_UPGRADE = (
    "GET / HTTP/1.1\r\nHost: {site}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: aGF0ZXN0ZXIgc2Vzc2lvbg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SWITCHED = b"HTTP/1.1 101 "
_END_OF_HEAD = b"\r\n\r\n"
_BYTE = b"."
_FRAME = b"\x81\x81\0\0\0\0" + _BYTE
"""A text of one byte, masked with zeros (RFC 6455, section 5.2)."""


class HeldSession:
    """A session with a target; it ends for good when an answer takes longer than `life` seconds."""

    def __init__(
        self, loop: Loop, index: int, target: Target, site: str, life: float, is_websocket: bool
    ) -> None:
        self._loop = loop
        self._index = index
        self._life = life
        self._opened = loop.now()
        self._head = b""
        self._is_open = not is_websocket
        self._waits_since: float | None = None
        self._answers = 0
        self._end: tuple[float, str, str | None] | None = None
        self._link: Link | None = None
        self._message = _FRAME if is_websocket else _BYTE
        try:
            self._link = Link(loop, target, self._hear, self._over)
            if is_websocket:
                self._say(_UPGRADE.format(site=site).encode())
        except OSError as error:
            self._over(error)

    def speak(self, _: float) -> None:
        """Send the next byte, once the one before it is answered."""
        if self._end or self._link is None:
            return
        if self._waits_since is None:
            try:
                self._say(self._message)
            except OSError as error:
                self._over(error)
        elif self._loop.now() - self._waits_since >= self._life:
            self._finish("silent", None)

    def record(self) -> Session:
        """Return its record."""
        at, end, error = self._end or (self._loop.now(), "alive", None)
        if not self._answers and (self._end or not self._is_open):
            end = "unopened"
        times = (round(self._opened, DIGITS), round(at, DIGITS))
        return Session._make((self._index, *times, end, error, self._answers))

    def _say(self, data: bytes) -> None:
        assert self._link is not None
        self._waits_since = self._loop.now()
        self._link.send(data)

    def _hear(self, data: bytes) -> None:
        self._waits_since = None
        if self._is_open:
            self._answers += 1
            return
        self._head += data
        if not _SWITCHED.startswith(self._head[: len(_SWITCHED)]):
            self._finish("closed", None)
        self._is_open = _END_OF_HEAD in self._head

    def _over(self, error: OSError | None) -> None:
        outcome, name = failure(error) if error else ("empty", None)
        self._finish("reset" if outcome == "reset" else "closed", name)

    def _finish(self, end: str, error: str | None) -> None:
        self._end = (self._loop.now(), end, error)
        if self._link:
            self._link.close()


class Sessions:
    """Sessions with targets: so many with each at once, and as many more `every` so often."""

    def __init__(self, loop: Loop, interval: float, open_one: Callable[[int], HeldSession]) -> None:
        self._loop = loop
        self._interval = interval
        self._open = open_one
        self._held: list[HeldSession] = []

    def begin(self, targets: int, connections: int) -> None:
        """Open so many sessions with each of so many targets."""
        for index in range(targets):
            for _ in range(connections):
                session = self._open(index)
                self._held.append(session)
                self._loop.every(self._interval, self._loop.now(), session.speak)

    def records(self) -> list[Session]:
        """Return the record of each session."""
        return [each.record() for each in self._held]
