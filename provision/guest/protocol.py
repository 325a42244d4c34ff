"""The contract between the host and the program in its guests: the messages of the guest.

A guest answers a cell's plan (`plan.py`) with events, the last of which has the Evidence. It
answers a survey's question with an Answer. Each is one line of JSON. Both sides use these types.
The host does not trust a guest: it validates each message, with all bounds. Times are seconds on
the guest's monotonic clock since the cell began, unless said otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union

from provision.guest.client_records import ClientRecords, Probe
from provision.guest.message_bounds import (
    TEXT_CHARACTERS,
    Bounds,
    Count,
    Length,
    Moment,
    Name,
    Names,
    Number,
    Outcome,
    Seconds,
    Text,
)

MESSAGE_BYTES = 32 << 20
"""Of one line: a probe takes 70, so that 100 addresses can be probed every 20 ms for 90 s."""
LAST_EVENTS = ("end", "failed", "tainted", "broken")
"""With one of them a sequence ends."""


class LogLine(NamedTuple):
    """A line of HAProxy's log, and when it was seen."""

    at: Seconds
    text: Text


class Usage(NamedTuple):
    """The use that a process of HAProxy's made of the guest until a moment."""

    at: Seconds
    pid: Number
    memory: Count
    """Bytes that it has in memory (its resident set)."""
    cpu_seconds: Seconds
    files: Number
    """That it has open."""


@dataclass(frozen=True)
class TakenStep:
    """A step that was taken, with the shell commands by which a person can do the same."""

    step: Number
    verb: Name
    what: Name | None
    at: Seconds
    commands: Annotated[tuple[Text, ...], Length(4096)] = ()


@dataclass(frozen=True)
class CheckedConnection:
    """The end of one connection of a check; `at` is seconds since the last start or reload."""

    outcome: Outcome
    answer: Name | None
    """The configuration that answered."""
    errno: Name | None
    seconds: Seconds
    at: Moment


@dataclass(frozen=True)
class GuestCheck:
    """A check: how each address answered, by its label, after the reload of step `reload`."""

    step: Number
    reload: Number | None
    connections: Annotated[Mapping[Name, CheckedConnection], Length(65536)]


@dataclass(frozen=True)
class _Stretch:
    start: Seconds
    end: Seconds

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(f"it ends at {self.end:g}, before it starts at {self.start:g}")


@dataclass(frozen=True)
class Listener(_Stretch):
    """A listening socket, as long as the same processes held it; `queue` is its longest."""

    address: Name
    pids: Annotated[tuple[Number, ...], Length(4096)]
    queue: Count


@dataclass(frozen=True)
class Process(_Stretch):
    """A process, from when it was first seen to when it was last."""

    pid: Number
    kind: Literal["master", "worker", "stranger"]


@dataclass(frozen=True)
class Sampling:
    """The number of looks at the listening sockets, and their cost."""

    interval: Seconds
    samples: Number
    cpu_seconds: Seconds
    seconds: Seconds


@dataclass(frozen=True)
class Probing:
    """The cost of probing, and the number of processors."""

    cpu_seconds: Seconds
    seconds: Seconds
    processors: Annotated[int, Bounds(1, 65536)]


@dataclass(frozen=True)
class Reload:
    """A reload that was observed from `at` to `until`; `present` and `in_the_end` as planned."""

    step: Number
    config: Name
    present: Names
    in_the_end: Names
    gap: Seconds | None
    """Since the reload before, where it raced with that."""
    at: Seconds
    until: Seconds
    reported: Literal["success", "failure"] | None
    """HAProxy's own word."""
    reported_at: Seconds | None
    steady: bool
    """True if it was observed to its end."""
    exit_code: Annotated[int, Bounds(-255, 255)] | None
    """Of the command that asked for it."""
    answer: Text | None
    """Of the master CLI."""
    processes: Text | None
    """The output of `show proc` in the end."""
    counters: Annotated[Mapping[Name, Annotated[int, Bounds(-(1 << 62), 1 << 62)]], Length(256)]
    """The growth of the kernel's counters."""
    verb: Literal["reload", "restart"] = "reload"
    refusal: Text | None = None
    """The reason why nobody took the request for it."""
    logged: Literal["success", "failure"] | None = None
    """The word of HAProxy's log, where that is not the one that `reported` has."""

    def __post_init__(self) -> None:
        if self.at > self.until:
            raise ValueError(f"it ends at {self.until:g}, before it was asked for at {self.at:g}")
        if (self.reported is None) is not (self.reported_at is None):
            raise ValueError("it has a report without its time, or a time without a report")


@dataclass(frozen=True)
class FailedStart:
    """A start that failed, as its step allows it to; `missing` is as of Ended."""

    step: Number
    at: Seconds
    reason: Text
    missing: Names


@dataclass(frozen=True)
class Reply:
    """The answer of HAProxy's socket to a command, or the output of a command of the shell.

    The latter has an exit code. `error` is why a socket did not answer.
    """

    step: Number
    at: Seconds
    text: Text
    exit_code: Annotated[int, Bounds(-255, 255)] | None = None
    error: Text | None = None


@dataclass(frozen=True)
class Ended:
    """The end of HAProxy, found at a step, or in the end (None), with its message.

    `missing` are the addresses that were not there when it was to start, but did not.
    """

    step: Number | None
    at: Seconds
    reason: Text
    is_start: bool
    missing: Names


@dataclass(frozen=True)
class Evidence:
    """All that was seen in a cell."""

    interval: Annotated[float, Bounds(1e-3, 1e3)]
    """Seconds between two probes of an address."""
    life: Seconds
    """At most, of a connection."""
    addresses: Names
    """Their labels."""
    steps: Annotated[tuple[TakenStep, ...], Length(4096)]
    reloads: Annotated[tuple[Reload, ...], Length(4096)]
    lacking: Names
    """The sysctls that the kernel does not have."""
    ended: Ended | None
    log: Annotated[tuple[LogLine, ...], Length(1 << 20)]
    probes: Annotated[tuple[Probe, ...], Length(1 << 20)]
    """In the order in which they were due."""
    probing: Probing
    listeners: Annotated[tuple[Listener, ...], Length(1 << 20)]
    processes: Annotated[tuple[Process, ...], Length(65536)]
    sampling: Sampling
    dormant: Annotated[tuple[Listener, ...], Length(1 << 20)] = ()
    """Sockets that have left LISTEN, though processes of HAProxy's go on to hold them."""
    usage: Annotated[tuple[Usage, ...], Length(1 << 20)] = ()
    clients: ClientRecords = field(default_factory=ClientRecords)
    failed_starts: Annotated[tuple[FailedStart, ...], Length(4096)] = ()
    replies: Annotated[tuple[Reply, ...], Length(4096)] = ()


Checks = Annotated[tuple[GuestCheck, ...], Length(4096)]


@dataclass(frozen=True)
class Serving:
    """The answer to a greeting."""

    event: Literal["serving"] = "serving"


@dataclass(frozen=True)
class Alive:
    """A sign of life."""

    event: Literal["alive"] = "alive"


@dataclass(frozen=True)
class Begin:
    """The steps begin; `release` is the kernel's, `haproxy` the version that HAProxy states."""

    release: Name
    haproxy: Name
    event: Literal["begin"] = "begin"


@dataclass(frozen=True)
class Next:
    """The guest waits until its host has looked from outside.

    `step` is the number of the step that is next, None after the last; `taken` and `checks` are
    those since the last such event.
    """

    step: Number | None
    taken: Annotated[tuple[TakenStep, ...], Length(4096)]
    checks: Checks
    event: Literal["next"] = "next"


@dataclass(frozen=True)
class Held:
    """The guest stands as it is until its host says otherwise."""

    event: Literal["held"] = "held"


@dataclass(frozen=True)
class Tainted:
    """The guest is not clean, and has done nothing."""

    traces: Annotated[tuple[Text, ...], Length(65536)]
    event: Literal["tainted"] = "tainted"


@dataclass(frozen=True)
class Failed:
    """The cell could not be run to its end; what was seen until then."""

    reason: Text
    evidence: Evidence
    checks: Checks
    event: Literal["failed"] = "failed"


@dataclass(frozen=True)
class End:
    """The cell was run to its end."""

    evidence: Evidence
    event: Literal["end"] = "end"


@dataclass(frozen=True)
class Broken:
    """The guest's program failed, by a fault of its own."""

    reason: Text
    event: Literal["broken"] = "broken"


Event = Union[Serving, Alive, Begin, Next, Held, Tainted, Failed, End, Broken]


@dataclass(frozen=True)
class Answer:
    """The effects of a configuration.

    `binds` has by label the way in which each address answers: one of `connections.ANSWERS`, or
    None where it does not take connections. `servers` are those that HAProxy talks to, such as
    10.0.0.5:8080; `failing` the names of those whose checks fail. `made` are the paths of files
    that the build does not have.
    """

    binds: Annotated[Mapping[Name, Name | None], Length(65536)]
    servers: Names
    failing: Names = ()
    made: Names = ()


@dataclass(frozen=True)
class Refusal:
    """HAProxy does not start with the configuration; the reason is its first alert."""

    refused: Text


def encode(message: object) -> str:
    """Return a message as JSON, without the end of a line."""
    # Names of files may be no text, which no JSON can have.
    return (
        json.dumps(message, default=_fields, ensure_ascii=False).encode(errors="replace").decode()
    )


def cut(text: str) -> str:
    """Return the beginning of a text that may be too long for a message."""
    return text[:TEXT_CHARACTERS]


def _fields(message: Any) -> dict[str, Any]:
    if not is_dataclass(message):
        raise TypeError(f"{type(message).__name__} is not part of a message")
    return {each.name: getattr(message, each.name) for each in fields(message)}
