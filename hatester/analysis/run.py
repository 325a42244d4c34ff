"""The model of a run: everything that `run.json` contains, and its schema."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from hatester.analysis.model import Answer, CellId, CellResult, Clock
from hatester.analysis.parts import Count, Model
from hatester.matrix.plan import Task, cell_of


def _require_moment(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str,
    pydantic.AfterValidator(_require_moment),
    Field(json_schema_extra={"format": "date-time"}),
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


class RunOrigin(Model):
    """The flags of a run that are needed to resume it, or to measure a cell again."""

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
    host: HostSummary = Field(description="The host that it ran on.")
    planned: tuple[CellId, ...] = Field(
        description="The ids of all cells, in the order in which they run."
    )
    seeds: tuple[Count, ...] = Field(
        min_length=1,
        description="The seed of each repetition, which replaces chance.",
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
        """All that is to be measured, in the order in which it is."""
        cells = [cell_of(id_) for id_ in self.planned]
        return [(cell, number) for number in range(1, len(self.seeds) + 1) for cell in cells]


class RunResult(RunHead):
    """A run: the content of `run.json`."""

    cells: tuple[CellResult, ...] = Field(
        description="The cells that were measured, by repetition and in the order of the plan."
    )

    @property
    def missing(self) -> list[Task]:
        """Return what was planned and has not been measured, in the order of the plan."""
        there = {cell.key for cell in self.cells}
        return [(cell, number) for cell, number in self.tasks if (cell.id, number) not in there]

    @property
    def shortfall(self) -> str:
        """Return how many of the planned measurements there are; nothing if all are there."""
        missing = len(self.missing)
        planned = len(self.planned) * len(self.seeds)
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
