"""The model of a run and of its cells: everything that `run.json` and a `cell.json` contain.

All data that is read from disk is parsed into these classes once; later code takes objects.
What a reload did, and the causes of a verdict, are in reload_model.py.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from hatester.analysis.reload_model import Cause, Count, Length, Model, ReloadResult
from hatester.analysis.timeline import Timeline
from hatester.matrix.plan import Task, cell_of
from hatester.matrix.shards import plan_tasks, read_shard
from provision.guest.message_bounds import Outcome

Verdict = Literal["ok", "unasked", "lossy", "outage", "down", "error"]
Clock = Literal["virtual", "real"]
Answer = Literal["named", "any", "tls", "proxy", "proxy-tls", "close", "connect"]
CellId = Annotated[
    str, Field(pattern=r"^[^/.\x00-\x1f][^/\x00-\x1f]*(/[^/.\x00-\x1f][^/\x00-\x1f]*){4}$")
]
"""`kernel/build/setting/scenario/method`; no part can lead out of a folder."""


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


def _require_moment(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str, pydantic.AfterValidator(_require_moment), Field(json_schema_extra={"format": "date-time"})
]


SCHEMA = 1


class HostSummary(Model):
    """The host of a run."""

    system: str | None = None
    processors: int | None = None
    memory_bytes: int | None = None
    python: str | None = None
    qemu: str | None = None
    vagrant: str | None = None


class UserConfiguration(Model):
    """A configuration of the user's own, as HAProxy in a guest understood it."""

    names: tuple[str, ...] = Field(
        min_length=1,
        description="The names of the configuration in service and, if it is another, of the one "
        "loaded then.",
    )
    build: str = Field(description="The build that was asked.")
    binds: Mapping[str, Answer | None] = Field(
        description="By its label, how each address answers; null where it takes no connection."
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        description="The addresses that can be lost together, by the name in scenarios."
    )
    unwatched: Mapping[str, str] = Field(description="Unwatched addresses, with reasons.")
    failing: tuple[str, ...] = Field(description="The servers whose checks fail.")
    said: tuple[str, ...] = Field(description="A sentence for each thing made or left out.")
    env: Mapping[str, str] = Field(
        description="The variables of HAProxy's environment that were given."
    )


class Omission(Model):
    """A cell that was selected and left out of the plan, since it makes no sense."""

    id: CellId
    reason: str


def _require_shard(text: str) -> str:
    read_shard(text)
    return text


ShardName = Annotated[str, pydantic.AfterValidator(_require_shard)]


class MergedRun(Model):
    """A run whose cells became cells of another run."""

    run: str
    shard: ShardName | None = None
    host: HostSummary


class RunOrigin(Model):
    """The flags of a run that are needed to resume it, or to measure a cell again.

    The version and the content of the matrix say which runs can be merged.
    """

    hatester: str | None = Field(default=None, description="The version of hatester.")
    matrix: str | None = Field(
        default=None,
        description="A SHA-256 of the settings and scenarios of its cells, as they were declared.",
    )
    shard: ShardName | None = Field(
        default=None,
        description="The part of the plan that it measures, such as 1/3; null: all of it.",
    )
    kernels: Mapping[str, str] = Field(
        default={},
        description="The values of --kernel for kernels that matrix/kernels.yml does not declare, "
        "by their names.",
    )
    builds: Mapping[str, str] = Field(
        default={},
        description="The values of --haproxy for builds that matrix/haproxy.yml does not declare, "
        "by their names.",
    )
    clients: tuple[str, ...] = Field(
        default=(),
        description="The clients of --client beside the prober, and load=RATE for that of --load.",
    )
    captured: str | None = Field(
        default=None,
        description="The captured host that the guests are to be like, by its name in "
        "matrix/hosts; where there is one.",
    )
    differs: tuple[str, ...] = Field(default=(), description="The differences from it.")
    configuration: UserConfiguration | None = Field(
        default=None, description="Of a run with --config or --host."
    )


class RunHead(RunOrigin):
    """All of a run except its cells: the content of `plan.json`."""

    form: Literal[1] = Field(alias="schema")
    run: str = Field(description="Its name, and its folder's.")
    started: Moment = Field(description="In UTC.")
    finished: Moment | None = Field(
        description="In UTC; null while it runs, and when it was interrupted."
    )
    host: HostSummary = Field(
        description="The host that it ran on; of a merged run, what its hosts have in common."
    )
    merged: tuple[MergedRun, ...] = Field(
        default=(), description="The runs that `invoke merge` made it of."
    )
    planned: tuple[CellId, ...] = Field(
        description="The ids of all cells, in the order in which they run; of a shard, also those "
        "of the other shards."
    )
    seeds: tuple[Count, ...] = Field(
        min_length=1, description="The seed of each repetition, which replaces chance."
    )
    repeat: int = Field(ge=1, description="How often each cell is measured.")
    clock: Clock = Field(
        description="The source of the guests' time: the instructions that each executes, or the "
        "host's time."
    )
    probe_interval: float | None = Field(
        description="Seconds between two probes of an address; null where each scenario has its "
        "own."
    )
    left_out: tuple[Omission, ...] = Field(description="Selected cells that make no sense.")

    @property
    def tasks(self) -> list[Task]:
        """All that this run is to measure, in the order in which it does."""
        shard = read_shard(self.shard) if self.shard else None
        return plan_tasks([*map(cell_of, self.planned)], len(self.seeds), shard)


class RunResult(RunHead):
    """A run: the content of `run.json`."""

    cells: tuple[CellResult, ...] = Field(
        description="The cells that were measured, by repetition and in the order of the plan."
    )

    @property
    def head(self) -> RunHead:
        """Return the run without its cells."""
        return RunHead.model_validate({name: getattr(self, name) for name in RunHead.model_fields})

    @property
    def missing(self) -> list[Task]:
        """Return the tasks that have not been measured, in the order of the plan."""
        there = {cell.key for cell in self.cells}
        return [(cell, number) for cell, number in self.tasks if (cell.id, number) not in there]

    @property
    def shortfall(self) -> str:
        """Return how many of the tasks have been measured; nothing if all have been."""
        missing = len(self.missing)
        planned = len(self.tasks)
        return f"{planned - missing} of {planned} cells were measured" if missing else ""

    def with_cells(self, cells: Sequence[CellResult]) -> RunResult:
        """Return the same run with other cells, in the order of the plan."""
        order = {(cell.id, number): place for place, (cell, number) in enumerate(self.tasks)}
        ordered = sorted(cells, key=lambda cell: order[cell.key])
        return self.model_copy(update={"cells": tuple(ordered)})


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `run.json`: the content of docs/run.schema.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RunResult.model_json_schema(by_alias=True, mode="validation"),
        "title": "A run of hatester: results/RUN/run.json",
        "description": "Fields may be added; those here keep their names and meanings while "
        "`schema` is 1. Seconds that are called `from`, `to` or end in `_at` or `_failure` are "
        "counted from the reload that they stand in.",
    }
