"""Runs that are parts of one plan, as if each came from another machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hatester.analysis.model import CellResult, Measurement, RunOrigin
from hatester.matrix.plan import Cell, cell_of
from hatester.results.store import Results, begin
from hatester.runner.cell import not_measured
from tests.factories.evidence import AT, everywhere, evidence
from tests.factories.runs import HOST, measured

CELLS = [
    Cell(kernel, build, "plain", "lost-address", "signal")
    for kernel in ("5.10", "6.1")
    for build in ("2.2", "3.0")
]
SEEDS = (0, 1)
KEYS = [(cell.id, number) for number in (1, 2) for cell in CELLS]
NEVER = KEYS[3]
"""A cell that never began."""
OUTAGE = evidence(everywhere((AT, AT + 2, "refused")), interval=0.1)


def measurement(key: tuple[str, int]) -> Measurement:
    """Return the measurement of a cell; always the same."""
    cell = cell_of(key[0])
    found = evidence(interval=0.1) if cell.build == "2.2" else OUTAGE
    return measured(cell, {**found, "seed": key[1] - 1}, key[1], console="a line\n")


def make_run(
    parent: Path,
    keys: Collection[tuple[str, int]] = KEYS,
    host: Mapping[str, Any] = HOST,
    **origin: Any,
) -> Results:
    """Return a finished run of the plan, or of a shard, that has only some of its cells."""
    run = begin(parent, host, CELLS, seeds=SEEDS, origin=RunOrigin(**origin))
    for cell, number in run.left():
        if (cell.id, number) == NEVER in keys:
            run.add(not_measured(cell, number, "no image", console="no root"))
        elif (cell.id, number) in keys:
            run.add(measurement((cell.id, number)))
    run.finish()
    return run


def change_cell(run: Results, key: tuple[str, int], **changes: Any) -> None:
    """Store a cell of a run with other fields."""
    before = next(cell for cell in run.cells if cell.key == key)
    cell = CellResult.model_validate({**dict(before), **changes})
    run.add(Measurement(cell, run.timeline(before), "another console"))
    run.write()
