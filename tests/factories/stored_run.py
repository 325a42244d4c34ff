"""A stored run of some cells, and what its files have."""

from __future__ import annotations

from pathlib import Path

from hatester.matrix.plan import cell_of
from hatester.results.store import Results, begin
from hatester.runner.cell import not_measured
from tests.factories.evidence import AT, everywhere, evidence
from tests.factories.runs import HOST, measured

IDS = [f"6.1/{build}/plain/lost-address/signal" for build in ("2.2", "3.0", "3.2", "3.4")]
OUT, WELL, NEVER, LEFT = CELLS = [cell_of(id_) for id_ in IDS]
BRIEF = evidence(everywhere((AT, AT + 2, "refused")), interval=0.1)


def made(parent: Path) -> Results:
    """Return a run of four cells: one out, one well, one that never began, one left."""
    run = begin(parent, HOST, CELLS)
    run.add(measured(OUT, BRIEF, console="panic"))
    run.add(measured(WELL, evidence(interval=0.1)))
    run.add(not_measured(NEVER, 1, "no image", console="no root"))
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files but the lock."""
    there = (file for file in folder.rglob("*") if file.is_file() and file.name != "lock")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in there}


def timeline(run: Results, number: int = 0) -> Path:
    return run.evidence(run.cells[number]) / "timeline.json"


def verdicts(run: Results) -> list[str]:
    return [cell.verdict for cell in run.cells]
