"""Clients by TLS: a fresh connection each, with one request inside.

Every other one offers a session of before, to be resumed (RFC 8446, section 2.2), until it is
refused. Certificates are looked at, and not verified.
"""

from __future__ import annotations

import hashlib
import ssl

from provision.guest.client_event_loop import Link, Loop
from provision.guest.client_records import Handshake
from provision.guest.clock import DIGITS
from provision.guest.connections import Target, failure, find_answering, request

_BYTES = 65536


class TlsClient:
    """All connections by TLS to a target; each lives `life` seconds at most."""

    def __init__(self, loop: Loop, index: int, target: Target, site: str, life: float) -> None:
        self.handshakes: list[Handshake] = []
        self.loop = loop
        self.index = index
        self.target = target
        self.site = site
        self.life = life
        self.session: tuple[ssl.SSLSession, float] | None = None
        """The one to offer, and when it was agreed upon."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self._living: set[_Secured] = set()
        self._is_offering = False

    @property
    def is_busy(self) -> bool:
        """True while a connection is there."""
        return bool(self._living)

    def connect(self, due: float) -> None:
        """Make a connection, and give up those that are too old."""
        for each in [one for one in self._living if self.loop.now() - one.sent >= self.life]:
            each.finish("timeout", None)
        offered = self.session if self._is_offering else None
        self._is_offering = not self._is_offering
        secured = _Secured(self, due, offered)
        self._living.add(secured)
        secured.begin()

    def take(self, secured: _Secured, handshake: Handshake) -> None:
        """Keep the record of a connection that has ended."""
        self._living.discard(secured)
        self.handshakes.append(handshake)


class _Secured:
    """One connection by TLS."""

    def __init__(
        self, client: TlsClient, due: float, offered: tuple[ssl.SSLSession, float] | None
    ) -> None:
        self.sent = client.loop.now()
        self._client = client
        self._due = due
        self._offered = offered
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client.context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=client.site,
            session=offered[0] if offered else None,
        )  # fmt: skip
        self._secured: float | None = None
        self._answer = b""
        self._link: Link | None = None

    def begin(self) -> None:
        try:
            self._link = Link(self._client.loop, self._client.target, self._hear, self._end)
            self._go_on()
        except OSError as error:
            self.finish(*failure(error))

    def _hear(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._go_on()
        except OSError as error:
            self.finish(*failure(error))

    def _go_on(self) -> None:
        """Go as far as what was received allows. Raises OSError where nothing can be sent."""
        try:
            if self._secured is None:
                self._tls.do_handshake()
                self._secured = self._client.loop.now()
                self._tls.write(request("named", self._client.site))
            while chunk := self._tls.read(_BYTES):
                self._answer += chunk
            self._take_answer()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:  # an alert, or an end without one
            self._flush()
            if self._answer:
                self._take_answer()
            else:
                self.finish("wrong", error.reason)

    def _flush(self) -> None:
        if self._link and (waiting := self._outgoing.read()):
            self._link.send(waiting)

    def _end(self, error: OSError | None) -> None:
        if error:
            self.finish(*failure(error))
        elif self._answer:
            self._take_answer()
        else:
            self.finish("empty", None)

    def _take_answer(self) -> None:
        """Note an answer. Tickets have come before it, so that the session can be offered now."""
        client = self._client
        is_stale = client.session is None or (self._offered and not self._tls.session_reused)
        if is_stale and self._tls.session is not None and self._secured is not None:
            client.session = (self._tls.session, self._secured)
        self.finish("ok" if self._answer else "empty", None)

    def finish(self, outcome: str, error: str | None) -> None:
        """End the connection."""
        if self._link:
            self._link.close()
            self._link = None
        is_new = self._secured is not None and not self._tls.session_reused
        shown = self._tls.getpeercert(binary_form=True) if is_new else None
        head, _, body = self._answer.partition(b"\r\n\r\n")
        status = head.split(b" ")[1:2]
        name = find_answering(200, body.decode("utf-8", "replace")) if status == [b"200"] else None
        times = (self._due, self.sent, self._secured, self._client.loop.now())
        record = (
            self._client.index,
            *(None if each is None else round(each, DIGITS) for each in times),
            outcome,
            error,
            name,
            hashlib.sha256(shown).hexdigest() if shown else None,
            self._tls.session_reused if self._offered and self._secured is not None else None,
            round(self._offered[1], DIGITS) if self._offered else None,
        )
        self._client.take(self, Handshake._make(record))
