"""The model of a measured cell: everything that its `cell.json` contains.

All data that is read from disk is parsed into these classes once; later code takes objects.
Seconds that are called `from`, `to` or end in `_at` or `_failure` are counted from the reload that
they belong to. A run of cells is in run.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from hatester.analysis.client_effects import ClientEffect
from hatester.analysis.effects import OldWorker, Outage, ProcessUse, ReloadLatency, StaleAnswers
from hatester.analysis.parts import Count, Length, Model, Span
from hatester.analysis.timeline import Timeline

Verdict = Literal["ok", "unasked", "lossy", "outage", "down", "error"]
ReloadVerdict = Literal["ok", "unasked", "lossy", "outage", "down"]
AddressVerdict = Literal["ok", "lossy", "outage", "down"]
Outcome = Literal["ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong"]
"""The end of a connection (provision/guest/connections.py)."""
Owner = Literal["master", "new worker", "old worker", "stranger"]
Holder = Literal["master", "new worker", "old worker", "new process", "old process", "stranger"]
"""The holder of a listener in a sentence: without a master, workers are processes."""
Clock = Literal["virtual", "real"]
Answer = Literal["named", "any", "tls", "proxy", "proxy-tls", "close", "connect"]
CellId = Annotated[
    str, Field(pattern=r"^[^/.\x00-\x1f][^/\x00-\x1f]*(/[^/.\x00-\x1f][^/\x00-\x1f]*){4}$")
]
"""`kernel/build/setting/scenario/method`; no part can lead out of a folder."""


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
        default=(), description="Where there is no master: the old processes."
    )
    master: ProcessUse | None = Field(default=None, description="Null without a master.")

    @property
    def expected(self) -> dict[str, AddressResult]:
        """The addresses that should have answered all the while."""
        return {label: each for label, each in self.addresses.items() if each.expected}

    def counts(self, label: str) -> bool:
        """Return whether the losses of clients of an address count; the prober may not ask it."""
        return label not in self.addresses or self.addresses[label].expected


class ReplyResult(Model):
    """The reply to a command of a step: `ask` (a socket of HAProxy's) or `run` (the shell)."""

    step: Count
    command: str
    text: str
    exit_code: int | None = Field(default=None, description="Of a command of the shell.")
    error: str | None = Field(default=None, description="Why a socket did not answer.")


class CheckResult(Model):
    """One connection to each address at one moment."""

    step: Count
    reload: Count | None = Field(description="The step of the last reload before it.")
    at: float = Field(description="Seconds since the last start or reload.")
    outcomes: Mapping[str, Outcome] = Field(description="From inside the guest, by address.")
    outside: Mapping[str, Outcome] = Field(
        description="From the host, by address, as far as it can be reached from there."
    )


class Quality(Model):
    """The quality of a cell's observation."""

    verdict: Literal["good", "late", "starved", "heavy"] = Field(
        description="late: by more than an interval, one probe of a hundred; starved, heavy: the "
        "cell is an error."
    )
    lateness_p50: float = Field(
        description="Seconds by which probes were sent late; p50, p99 and max."
    )
    lateness_p99: float
    lateness_max: float
    probes: Count
    interval: float = Field(description="Seconds between two probes of an address.")
    burden: float = Field(description="The share of the guest's processors that watching took.")


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


class GuestKernel(Model):
    """The kernel of the guest that a cell was measured in."""

    name: str
    release: str | None = Field(description="As uname -r has it; null when no guest was entered.")
    version: str | None = Field(default=None, description="Of its package.")
    accelerator: Literal["kvm", "tcg"] | None = None


class GuestBuild(Model):
    """The HAProxy that a cell was measured with."""

    name: str
    version: str | None = Field(description="As haproxy -v has it.")
    package: str | None = Field(
        default=None,
        description="The version of its package, or of its binary where it comes from none.",
    )
    tree: str | None = Field(
        default=None,
        description="Its tree in the cache; another one for any other content, also of the same "
        "version.",
    )


class CellHead(Model):
    """The cell that was measured, and the guest."""

    id: CellId
    repetition: int = Field(ge=1, description="The number of the measurement of the cell.")
    seed: Count = Field(description="Replaces chance: the same seed, the same result.")
    setting: str
    scenario: str
    method: str
    kernel: GuestKernel
    haproxy: GuestBuild
    clock: Clock | None = Field(
        description="The source of the guest's time; null when no guest was entered."
    )
    cpus: Count | None = Field(description="The guest's processors.")
    seconds: Length = Field(description="How long the measurement took.")

    @property
    def key(self) -> tuple[str, int]:
        """The id of the cell, and which repetition of it."""
        return self.id, self.repetition


class Judgement(Model):
    """The verdict on a cell, by its evidence alone.

    An error has an explanation, its causes and the quality of what was measured; it is not a
    statement about HAProxy.
    """

    verdict: Verdict = Field(
        description="The worst of its reloads; down: also where HAProxy ended or did not start; "
        "unasked: no address was left that should have answered; error: not measured."
    )
    silent: bool | None = Field(
        description="Whether HAProxy reported success over an address that was down."
    )
    ended: Literal["start", "later"] | None = Field(
        description="Where HAProxy's end is the result: `start`, it did not start; `later`, it was "
        "gone after that."
    )
    error: str | None = Field(description="Why it was not measured.")
    explanation: str = Field(description="Why the verdict is what it is, in one sentence.")
    causes: tuple[Cause, ...] = Field(description="The explanation as data.")
    quality: Quality | None = Field(description="Null where nothing was measured.")
    checks: tuple[CheckResult, ...]
    reloads: tuple[ReloadResult, ...]
    failed_starts: tuple[Count, ...] = Field(
        default=(), description="The steps in which HAProxy did not start, and was allowed to."
    )
    replies: tuple[ReplyResult, ...] = ()


class CellResult(Judgement, CellHead):
    """One measurement of a cell."""

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> CellResult:
        needed = (self.kernel.release, self.kernel.accelerator, self.haproxy.version)
        measured = (self.silent, self.quality, self.clock, self.cpus)
        if self.verdict == "error":
            if self.error is None:
                raise ValueError("an error without a reason")
        elif None in (*needed, *measured) or self.error is not None:
            raise ValueError("a verdict without the measurement that it is of")
        elif not self.reloads and self.ended != "start":
            raise ValueError("a verdict without a reload")
        names = (self.kernel.name, self.haproxy.name, self.setting, self.scenario, self.method)
        if self.id != "/".join(names):
            raise ValueError("an id of another cell")
        return self

    @property
    def is_measured(self) -> bool:
        """False for an error."""
        return self.verdict != "error"

    def with_judgement(self, judgement: Judgement) -> CellResult:
        """Return the same measurement with another judgement."""
        return self.model_copy(update=dict(judgement))


@dataclass(frozen=True)
class Measurement:
    """A cell's result with its evidence, and the text on the guest's console.

    A cell that could not begin has no timeline.
    """

    cell: CellResult
    timeline: Timeline | None = None
    console: str = ""
