"""Clients that keep their connections for the next request, as browsers and load balancers do.

A request that meets the end of its connection is lost: the client cannot know whether it was
served (RFC 9112, section 9.3.1). The end of an idle connection costs nothing. Here a request and an
end are never on their way at once, as they are in a network. So a client notices an end only after
`latency` seconds, the time of the way to HAProxy and back.
"""

from __future__ import annotations

import http.client

from provision.guest.client_event_loop import Link, Loop
from provision.guest.client_records import IdleEnd, KeptRequest
from provision.guest.clock import DIGITS
from provision.guest.connections import NAMED, Target, failure, find_answering
from provision.guest.http_answer import read_answer


class KeptConnection:
    """A connection to a target, and its successors; a request waits `life` seconds at most."""

    def __init__(
        self,
        loop: Loop,
        index: int,
        target: Target,
        site: str,
        life: float,
        latency: float,
    ) -> None:
        self.requests: list[KeptRequest] = []
        self.idle_ends: list[IdleEnd] = []
        self._loop = loop
        self._index = index
        self._target = target
        self._request = f"GET / HTTP/1.1\r\nHost: {site}\r\n\r\n".encode()
        self._life = life
        self._latency = latency
        self._link: Link | None = None
        self._asked: tuple[float, float, bool] | None = None
        self._received = b""

    @property
    def is_busy(self) -> bool:
        """True while an answer is awaited."""
        return self._asked is not None

    def ask(self, due: float) -> None:
        """Send the next request, unless the one before it still waits for its answer."""
        if self._asked:
            if self._loop.now() - self._asked[1] >= self._life:
                self._drop("timeout", None)
            return
        self._asked = (due, self._loop.now(), self._link is None)
        self._received = b""
        try:
            if self._link is None:
                self._link = Link(self._loop, self._target, self._hear, self._end)
            self._link.send(self._request)
        except OSError as error:
            self._drop(*failure(error))

    def _hear(self, data: bytes) -> None:
        self._received += data
        if self._asked:
            self._judge(is_over=False)

    def _end(self, error: OSError | None) -> None:
        if self._asked is None:
            name = failure(error)[1] if error else None
            end = IdleEnd(self._index, round(self._loop.now(), DIGITS), name)
            link = self._link
            self._loop.at(self._loop.now() + self._latency, lambda: self._notice(link, end))
        elif error:
            self._drop(*failure(error))
        elif not self._received:
            self._drop("empty", None)
        else:
            self._judge(is_over=True)

    def _notice(self, link: Link | None, end: IdleEnd) -> None:
        """Give up a connection that has ended, unless a request was sent there meanwhile."""
        if self._link is link and self._asked is None:
            self.idle_ends.append(end)
            self._close()

    def _judge(self, is_over: bool) -> None:
        """Take the answer, if it is complete."""
        try:
            answer = read_answer(self._received, is_over)
        except http.client.HTTPException:
            self._drop("wrong", None)
            return
        if answer is None:
            return
        name = find_answering(answer.status, answer.body.decode("utf-8", "replace"))
        is_right = name is not None or self._target.answer != NAMED
        self._note("ok" if is_right else "wrong", None, name, answer.is_last)
        if answer.is_last:
            self._close()

    def _drop(self, outcome: str, error: str | None) -> None:
        """Note that a request was lost, and give up its connection."""
        self._note(outcome, error, None, is_last=True)
        self._close()

    def _note(self, outcome: str, error: str | None, name: str | None, is_last: bool) -> None:
        assert self._asked is not None
        (due, sent, is_first), self._asked = self._asked, None
        times = (round(each, DIGITS) for each in (due, sent, self._loop.now()))
        self.requests.append(
            KeptRequest._make((self._index, *times, outcome, error, name, is_first, is_last))
        )

    def _close(self) -> None:
        if self._link:
            self._link.close()
            self._link = None
