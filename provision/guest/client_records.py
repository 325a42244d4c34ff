"""The records of clients: of the prober, and of those that a cell has beside it.

Times are seconds on the guest's monotonic clock since the cell began. A destination is an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from provision.guest.message_bounds import Length, Name, Names, Number, Outcome, Seconds

_MANY = Length(1 << 20)


class Probe(NamedTuple):
    """One connection of the stream to an address."""

    destination: Number
    """Its index."""
    due: Seconds
    sent: Seconds
    ended: Seconds
    outcome: Outcome
    errno: Name | None
    configuration: Name | None
    """The one that answered, if it named itself."""

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


class KeptRequest(NamedTuple):
    """A request on a connection that its client keeps for the next one."""

    destination: Number
    due: Seconds
    sent: Seconds
    ended: Seconds
    outcome: Outcome
    errno: Name | None
    configuration: Name | None
    is_first: bool
    """True if the connection was made for it."""
    is_last: bool
    """True if the answer announced the end of the connection (`connection: close`)."""


class IdleEnd(NamedTuple):
    """The end of a kept connection between two requests; orderly if there is no `errno`."""

    destination: Number
    at: Seconds
    errno: Name | None


class Session(NamedTuple):
    """A connection that is held, on which a byte is sent now and then and has to be answered.

    It is `alive` at the end, or was `closed` in order or `reset`, was `silent` for longer than a
    connection may be, or could not even be `opened`.
    """

    destination: Number
    opened: Seconds
    ended: Seconds
    end: Literal["alive", "closed", "reset", "silent", "unopened"]
    errno: Name | None
    answers: Number
    """How many bytes were answered."""


class Handshake(NamedTuple):
    """A fresh connection by TLS, with one request inside."""

    destination: Number
    due: Seconds
    sent: Seconds
    secured: Seconds | None
    """When the handshake had succeeded."""
    ended: Seconds
    outcome: Outcome
    errno: Name | None
    configuration: Name | None
    certificate: Name | None
    """The SHA-256 of the certificate that was shown, in hexadecimal; none is when resumed."""
    is_resumed: bool | None
    """Whether the session that was offered was resumed; None: none was offered."""
    since: Seconds | None
    """When the session that was offered had been agreed upon."""


@dataclass(frozen=True)
class ClientRecords:
    """All that the clients beside the prober saw; destinations are indexes into `addresses`."""

    addresses: Names = ()
    requests: Annotated[tuple[KeptRequest, ...], _MANY] = ()
    idle_ends: Annotated[tuple[IdleEnd, ...], _MANY] = ()
    sessions: Annotated[tuple[Session, ...], _MANY] = ()
    handshakes: Annotated[tuple[Handshake, ...], _MANY] = ()
    load: Annotated[tuple[Probe, ...], _MANY] = ()
    sparse: Annotated[tuple[Probe, ...], _MANY] = ()
