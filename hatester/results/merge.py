"""One run made of several runs of one plan, such as those of its shards.

The runs may come from other machines: nothing in them is believed that does not have its checksum
and its form. The merged run is written to a hidden folder, and gets its name when it is whole.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hatester.analysis.model import CellResult, HostSummary, MergedRun, RunHead, RunResult
from hatester.matrix.plan import Task
from hatester.results.folder import (
    PLAN,
    RUN,
    is_listed,
    keep,
    make_run_folder,
    point_latest,
    quarantine,
    read,
    require_place,
    store,
    writing,
)
from hatester.results.store import CELL, CONSOLE, HAPROXY_LOG, LOCK, TIMELINE, Results, find
from hatester.util import locks
from hatester.util.errors import UserError
from hatester.util.files import UNFINISHED, remove, sync_folder, usable
from hatester.util.jsonfile import Damaged
from hatester.util.paths import is_there
from hatester.util.text import quoted

log = logging.getLogger(__name__)

_OWN = ("run", "started", "finished", "host", "shard", "merged")
"""The fields in which runs of one plan may differ."""


def merge(parent: Path, names: Sequence[str]) -> Results:
    """Return a new run in `parent` with the cells of runs, at least one, named as `find` has it.

    Of several results of a cell, a measurement takes precedence over an error. Cells that no run
    has, or that are damaged in each, are missing. Raises UserError where there is no such run,
    another process writes it, two runs cannot be merged, or the new one cannot be written.
    """
    require_place(parent)
    unfinished = parent / f".merged.{UNFINISHED}"
    sentence = f"{unfinished} is being written by another `merge`; wait for its end."
    with contextlib.ExitStack() as stack:
        runs = list({run.folder: run for run in (find(parent, name) for name in names)}.values())
        for run in runs:
            stack.enter_context(run.measuring())
        _require_one_plan(runs)
        stack.enter_context(locks.taken(unfinished / LOCK, sentence))
        try:
            _remove_rest(unfinished)
            return _publish(unfinished, _write(unfinished, runs), parent)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(unfinished)
            raise


def _remove_rest(unfinished: Path) -> None:
    """Remove what a killed process left."""
    with usable(unfinished):
        for path in unfinished.iterdir():
            if path.name != LOCK:
                remove(path)


def _write(folder: Path, runs: Sequence[Results]) -> RunResult:
    """Write all cells into a folder; return the run that they make, which has no name yet."""
    merged = {
        "started": min(run.run.started for run in runs),
        "host": _common_host(runs),
        "shard": None,
        "merged": tuple(each for run in runs for each in _origins(run.run)),
    }
    whole = runs[0].run.model_copy(update=merged)
    for path, content in _scenarios_of(runs).items():
        keep(folder / path, content)
    target, found = Results(folder, whole), [(run, _whole_cells(run)) for run in runs]
    cells = []
    for task in whole.tasks:
        if chosen := _choose(task, found):
            cell, contents = chosen
            store(target.evidence(cell), contents)
            cells.append(cell)
    whole = whole.with_cells(cells)
    ends = (run.run.finished for run in runs)
    finished = None if whole.missing else max(filter(None, ends), default=None)
    return whole.model_copy(update={"finished": finished})


def _publish(unfinished: Path, run: RunResult, parent: Path) -> Results:
    """Give the folder of a run its name; whoever sees it sees all of it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    folder = make_run_folder(parent, now.strftime("%Y%m%d-%H%M%S"))
    run = run.model_copy(update={"run": folder.name})
    try:
        store(unfinished, {PLAN: run.head.to_json(), RUN: run.to_json()})
        with writing(folder):
            unfinished.rename(folder)
            sync_folder(parent)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    point_latest(parent, folder.name)
    return Results(folder, run)


def _origins(run: RunResult) -> Sequence[MergedRun]:
    return run.merged or [MergedRun(run=run.run, shard=run.shard, host=run.host)]


def _common_host(runs: Sequence[Results]) -> HostSummary:
    """Return what the hosts of runs have in common."""
    common = {}
    for name in HostSummary.model_fields:
        values = list(dict.fromkeys(getattr(run.run.host, name) for run in runs))
        if len(values) == 1:
            [common[name]] = values
        else:
            log.info(f"measured on hosts that differ: {name} {', '.join(map(str, values))}")
    return HostSummary(**common)


def _require_one_plan(runs: Sequence[Results]) -> None:
    """Raise UserError for the first thing by which runs cannot be merged."""
    seen: dict[str, tuple[Results, object]] = {}
    for run in runs:
        for what, value in _invariants(run):
            first, expected = seen.setdefault(what, (run, value))
            # A run that was resumed may have several versions by itself.
            if value != expected and first is not run:
                values = f"got {quoted(value)}; expected {quoted(expected)}"
                raise _refusal(run, first, f"{what} differs ({values}). Merge runs of one plan.")


def _refusal(run: Results, first: Results, reason: str) -> UserError:
    return UserError(f"{run.folder} cannot be merged with {first.folder}: {reason}")


def _invariants(run: Results) -> Iterator[tuple[str, object]]:
    """Yield what all runs of one plan share, each with its name."""
    for name in RunHead.model_fields:
        if name not in _OWN:
            yield name, getattr(run.run, name)
    for cell in run.cells:
        if cell.is_measured:
            yield "accelerator", cell.kernel.accelerator
            for name, value in cell.kernel:
                yield f"{name} of kernel {cell.kernel.name}", value
            for name, value in cell.haproxy:
                yield f"{name} of HAProxy {cell.haproxy.name}", value


def _scenarios_of(runs: Sequence[Results]) -> Mapping[str, str]:
    """Return the files of scenarios that were made for the runs, by their paths in a run's folder.

    Raises UserError where runs have different ones, or a link.
    """
    first, *others = runs
    expected = _read_scenarios(first)
    for run in others:
        files = _read_scenarios(run)
        for path in sorted(expected.keys() | files.keys()):
            if files.get(path) != expected.get(path):
                raise _refusal(run, first, f"{path} differs. Merge runs of one plan.")
    return expected


def _read_scenarios(run: Results) -> Mapping[str, str]:
    found = {}
    with usable(run.scenarios):
        for path in (run.scenarios, *run.scenarios.rglob("*")):
            if path.is_symlink() or (path.exists() and not (path.is_dir() or path.is_file())):
                raise UserError(f"{path} is not a regular file. Remove it.")
            if path.is_file():
                name = path.relative_to(run.folder).as_posix()
                found[name] = path.read_bytes().decode(errors="replace")
    return found


def _whole_cells(run: Results) -> Mapping[tuple[str, int], CellResult]:
    """Return the cells of a run whose timelines are there and undamaged."""
    left = {(cell.id, number) for cell, number in run.left()}
    return {cell.key: cell for cell in run.cells if cell.key not in left}


def _choose(
    task: Task, found: Sequence[tuple[Results, Mapping[tuple[str, int], CellResult]]]
) -> tuple[CellResult, Mapping[str, str]] | None:
    """Return the result of a task with its files; None if no run has it undamaged.

    Raises UserError where two runs have different measurements.
    """
    key = (task[0].id, task[1])
    results = [
        (cell, contents, run)
        for run, cells in found
        if (cell := cells.get(key)) and (contents := _read_cell(run, cell))
    ]
    if not results:
        return None
    chosen, contents, first = max(results, key=lambda each: each[0].is_measured)
    for cell, _, run in results:
        # On the virtual clock, another host measures the same in another time.
        if cell.is_measured and cell.model_copy(update={"seconds": chosen.seconds}) != chosen:
            reason = f"{cell.id}, with seed {cell.seed}, has another result. Leave one run out."
            raise _refusal(run, first, reason)
    return chosen, contents


def _read_cell(run: Results, cell: CellResult) -> Mapping[str, str] | None:
    """Return the files of a cell; None, after its quarantine, if one is damaged or missing."""
    contents = {}
    for name in (TIMELINE, HAPROXY_LOG, CONSOLE, CELL):
        path = run.evidence(cell) / name
        if is_listed(path) or is_there(path):
            try:
                contents[name] = read(path).decode(errors="replace")
            except Damaged as damage:
                quarantine(path, str(damage))
                return None
    return contents
