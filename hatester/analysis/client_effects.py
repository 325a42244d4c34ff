"""The model of what a reload does to clients beside the prober.

Seconds called `first` and `last` are counted from the reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from hatester.analysis.parts import Count, Length, Model
from provision.guest.message_bounds import Outcome


class _Requests(Model):
    """Requests that were sent to an address while a reload was observed."""

    address: str
    requests: Count
    failures: Mapping[Outcome, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="How many of them were lost in which way."
    )
    slowest: Length | None = Field(default=None, description="Seconds of the slowest answer.")

    @property
    def lost(self) -> int:
        """The number of requests that were lost."""
        return sum(self.failures.values())


class KeptRequests(_Requests):
    """Requests on connections that are kept for the next one."""

    kind: Literal["keep-alive"]
    closing: Count = Field(description="Answers with `connection: close`, after which it was kept.")
    idle_ends: Count = Field(description="Connections that were closed between two requests.")


class FreshConnections(_Requests):
    """Fresh connections at a steady rate, or so seldom that they wake nothing."""

    kind: Literal["load", "sparse"]


class Certificate(Model):
    """A certificate that was shown."""

    name: str = Field(description="Of its file in the scenario; else its SHA-256.")
    handshakes: Count
    first: float
    last: float


class Handshakes(_Requests):
    """Fresh connections by TLS, each with a request inside."""

    kind: Literal["tls"]
    handshake: Length | None = Field(description="Seconds of the slowest handshake that succeeded.")
    before: str | None = Field(description="The certificate that was shown before the reload.")
    certificates: tuple[Certificate, ...]
    resumption: Literal["kept", "lost"] | None = Field(
        description="Whether sessions from before the reload went on to be resumed; null: none was "
        "offered."
    )


class SessionFates(Model):
    """The sessions that were older than a reload, until the next reload."""

    kind: Literal["sessions"]
    address: str
    older: Count = Field(description="How many there were when the reload was asked for.")
    closed: Count = Field(description="That were closed in order.")
    reset: Count = Field(description="That were reset.")
    silent: Count = Field(description="On which an answer did not come in time.")
    first: float | None = Field(description="The end of the first that was cut.")
    last: float | None = Field(description="The end of the last that was cut.")
    watched: Length = Field(description="Seconds for which they were watched.")

    @property
    def cut(self) -> int:
        """The number of sessions that ended."""
        return self.closed + self.reset + self.silent


ClientEffect = Annotated[
    KeptRequests | FreshConnections | Handshakes | SessionFates, Field(discriminator="kind")
]
Requests = KeptRequests | FreshConnections | Handshakes
