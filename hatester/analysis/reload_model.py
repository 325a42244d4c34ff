"""The model of a reload: what it did to addresses and to clients, and the causes of a verdict.

Seconds that are called `from`, `to`, `first` or `last`, or end in `_at` or `_failure`, are counted
from the reload that they belong to. A cell, which has reloads, is in model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from provision.guest.message_bounds import Outcome

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Length = Annotated[float, Field(ge=0)]


def round_seconds(seconds: float) -> float:
    """Return seconds as they are stored: to a microsecond."""
    return round(seconds, 6)


def _remove_titles(schema: dict[str, Any]) -> None:
    """Remove the titles that pydantic makes of the names of fields."""
    for each in (schema, *schema["properties"].values()):
        each.pop("title", None)


class Model(pydantic.BaseModel):
    """A frozen object of the model. Unknown fields are ignored, since fields may be added."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=_remove_titles,
    )

    def to_json(self) -> str:
        """Return the object as JSON, one field a line; what is at its default is left out."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n"


class Span(Model):
    """A stretch of time."""

    start: float = Field(alias="from")
    end: float = Field(alias="to")


ReloadVerdict = Literal["ok", "unasked", "lossy", "outage", "down"]
AddressVerdict = Literal["ok", "lossy", "outage", "down"]
Owner = Literal["master", "new worker", "old worker", "stranger"]
Holder = Literal["master", "new worker", "old worker", "new process", "old process", "stranger"]
"""The holder of a listener in a sentence: without a master, workers are processes."""


class Outage(Span):
    """A stretch of time in which connections to an address failed: all of them, or a share."""

    share: float = Field(
        default=1.0, gt=0, le=1, description="The share of its connections that failed."
    )


class Latency(Model):
    """The seconds that answers took, from when their connections were due."""

    answers: Count
    p50: Length
    p99: Length
    most: Length


class ReloadLatency(Model):
    """The latency of all addresses that should have answered all the while.

    A part without an answer is null.
    """

    before: Latency | None = Field(
        default=None, description="From the end of the observation before to the reload."
    )
    during: Latency | None = Field(
        default=None, description="Until HAProxy reported; to the end where it did not."
    )
    after: Latency | None = Field(default=None, description="From then on.")


class StaleAnswers(Model):
    """The answers of configurations that should not answer any more."""

    share: float = Field(gt=0, le=1, description="Of all answers then.")
    answers: Mapping[str, Count] = Field(description="How many each configuration gave.")


class ProcessUse(Model):
    """The use that a process made of the guest, as it was last seen."""

    memory: Count = Field(description="Bytes that it had in memory.")
    cpu_seconds: Length = Field(description="Of a processor, since it was started.")
    files: Count = Field(description="That it had open.")


class OldWorker(Model):
    """A worker that was there when a reload was asked for."""

    pid: Count
    age: Length = Field(description="Seconds from when it was first seen to when it was last.")
    ended_at: float | None = Field(description="Null: it was there at the end of the observation.")
    is_left: bool = Field(
        alias="left", description="Whether it was there at the end although a newer one was."
    )
    use: ProcessUse | None = Field(description="Null where it was not looked at.")


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


class ListenerHolder(Span):
    """The process that held the listener of an address for a stretch of time, or nobody."""

    address: str
    owner: Owner | None = Field(description="Null: nobody listened.")
    pid: Count | None
    queue: Count = Field(description="The longest that its accept queue was seen.")


class AddressResult(Model):
    """The result of an address in a reload."""

    expected: bool = Field(description="Whether it should have answered all the while.")
    verdict: AddressVerdict | None = Field(description="Null where it is not expected.")
    outage_seconds: Length = Field(
        description="In all, from the last success before to the first after each stretch."
    )
    first_failure: float | None
    last_failure: float | None
    probes: Count
    failures: Mapping[Outcome, Annotated[int, Field(ge=1)]] = Field(
        description="How many connections failed in which way."
    )
    outages: tuple[Outage, ...]
    slowest: float | None = Field(description="Seconds of the slowest answer.")
    answers: Mapping[str, Count] = Field(description="How many answers each configuration gave.")
    is_new: bool = Field(
        default=False,
        alias="new",
        description="Whether it is expected in the end only, by HAProxy's report: the reload bound "
        "it anew, or it came back.",
    )


class ReloadResult(Model):
    """The result of a reload."""

    step: Count
    config: str
    gap: float | None = Field(
        description="Seconds after the reload before it, with which it raced; else null."
    )
    reported: Literal["success", "failure"] | None = Field(
        description="HAProxy's report of it; null: none."
    )
    reported_at: float | None
    is_true: bool | None = Field(
        alias="true", description="Whether the report was true; null: not known."
    )
    verdict: ReloadVerdict
    silent: bool
    seconds: Length = Field(description="How long it was observed.")
    steady: bool = Field(
        description="Whether every address answered, or failed, in one and the same way at the end."
    )
    overtaken: bool = Field(
        description="Whether the next reload was asked for before this one had become steady."
    )
    exit_code: int | None = Field(
        description="Of the command that asked for the reload, where there is one."
    )
    answer: str | None = Field(description="The master CLI's.")
    processes: str | None = Field(
        description="The answer to `show proc`, where the method has a master CLI."
    )
    counters: Mapping[str, int] = Field(description="By how much the kernel's counters grew.")
    addresses: Mapping[str, AddressResult]
    listeners: tuple[ListenerHolder, ...]
    clients: tuple[ClientEffect, ...] = Field(
        default=(), description="What it did to the clients beside the prober, where there are any."
    )
    verb: Literal["reload", "restart"] = "reload"
    has_no_effect: bool = Field(
        default=False,
        alias="no_effect",
        description="Whether HAProxy did not report it, and none of its processes began.",
    )
    refusal: str | None = Field(
        default=None, description="Why nobody took the request, where nobody did."
    )
    logged: Literal["success", "failure"] | None = Field(
        default=None,
        description="The word of HAProxy's log, where the asker was given another one.",
    )
    latency: ReloadLatency = ReloadLatency()
    slow: tuple[str, ...] = Field(
        default=(), description="The addresses whose answers it slowed beyond the bound."
    )
    stale: Mapping[str, StaleAnswers] = Field(
        default={},
        description="By address, the answers of other configurations than the one of which HAProxy "
        "had reported success.",
    )
    old_workers: tuple[OldWorker, ...] = Field(
        default=(), description="Without a master: the old processes."
    )
    master: ProcessUse | None = Field(default=None, description="Null without a master.")

    @property
    def expected(self) -> dict[str, AddressResult]:
        """The addresses that should have answered all the while."""
        return {label: each for label, each in self.addresses.items() if each.expected}

    def counts(self, label: str) -> bool:
        """Return whether the losses of clients of an address count; the prober may not ask it."""
        return label not in self.addresses or self.addresses[label].expected


class ListenerCause(Span):
    """The holders of the listeners of addresses while these did not answer."""

    what: Literal["listener"]
    step: Count = Field(description="Of the reload.")
    addresses: tuple[str, ...]
    owners: tuple[Holder, ...] = Field(description="None: nobody listened.")
    before: tuple[Holder, ...] = Field(description="The holders before nobody listened.")
    after: tuple[Holder, ...] = Field(description="The holders after nobody listened.")
    dormant: tuple[Holder, ...] = Field(
        default=(), description="Held a socket that had left LISTEN, while nobody listened."
    )
    queue: Count = Field(description="The longest that the accept queue was seen.")
    uncertainty: Length = Field(description="Seconds by which `from` and `to` may be wrong.")


class AlertCause(Model):
    """The first alert in HAProxy's log on a reload, or on a start that failed."""

    what: Literal["alert"]
    step: Count | None = Field(description="Of the reload; null: of the start.")
    text: str
    bind: str | None = Field(description="The address that it could not bind, if it says so.")
    reason: str | None = Field(description="Why it could not.")


class EndCause(Model):
    """HAProxy did not start, or was gone later."""

    what: Literal["end"]
    step: Count | None = Field(description="Before which it was noticed; null: in the end.")
    reason: str
    missing: tuple[str, ...] = Field(description="Addresses that were missing at a failed start.")


class StartCause(Model):
    """HAProxy did not start, and the scenario went on."""

    what: Literal["start"]
    step: Count
    reason: str
    missing: tuple[str, ...] = Field(description="Addresses that were missing.")


class UnansweredCause(Model):
    """Addresses that did not answer before any reload; nothing can be said then."""

    what: Literal["unanswered"]
    outcomes: Mapping[str, Outcome]


class UnaskedCause(Model):
    """An address that should have answered in a reload, and was never asked."""

    what: Literal["unasked"]
    step: Count
    address: str


class ObstacleCause(Model):
    """An obstacle to a verdict: a busy host, too much watching, or no reload at all."""

    what: Literal["starved", "heavy", "unobserved"]


Cause = Annotated[
    ListenerCause
    | AlertCause
    | EndCause
    | StartCause
    | UnansweredCause
    | UnaskedCause
    | ObstacleCause,
    Field(discriminator="what"),
]
