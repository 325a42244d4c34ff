"""The store of runs: `results/RUN`, with `results/latest` pointing at the newest.

A cell's folder (`cells/ID`) is the truth: it is on disk, whole, when the cell ends. `plan.json` has
the run without its cells and is written once. `run.json` is derived from both, and can be written
again from them at any time. A process that writes holds the run's lock; reading needs none.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hatester.analysis.cell_verdict import judge
from hatester.analysis.model import (
    SCHEMA,
    CellResult,
    HostSummary,
    Measurement,
    Omission,
    RunHead,
    RunOrigin,
    RunResult,
)
from hatester.analysis.outcomes import measured, outcome
from hatester.analysis.timeline import Timeline
from hatester.analysis.timeline import read as read_timeline
from hatester.matrix.plan import Cell, Task
from hatester.results.folder import (
    PLAN,
    RUN,
    SUMS,
    is_listed,
    is_stored,
    locate_run,
    make_run_folder,
    parse,
    point_latest,
    quarantine,
    read,
    require_place,
    store,
)  # fmt: skip
from hatester.util import locks
from hatester.util.errors import UserError
from hatester.util.files import UNFINISHED, remove, usable
from hatester.util.jsonfile import Damaged, parsed
from provision.guest.protocol import encode

log = logging.getLogger(__name__)

LOCK = "lock"
CELL, TIMELINE, HAPROXY_LOG, CONSOLE = "cell.json", "timeline.json", "haproxy.log", "console.log"
T = TypeVar("T")
REWRITE_SECONDS = 5.0
"""At least, between two times that `run.json` is brought up to date while cells are measured."""


class Recomputed(NamedTuple):
    """The ids of cells with another judgement now, and of those that could not be judged again."""

    changed: list[str]
    kept: list[str]


class _Loaded(NamedTuple):
    run: RunResult
    damaged: Mapping[Path, str]
    is_current: bool
    """True if `run.json` is what would be written now."""


class Results:
    """A run and its folder. Every cell is on disk as soon as it is added."""

    def __init__(self, folder: Path, run: RunResult) -> None:
        self.folder = folder
        self.run = run
        self._unproven: set[tuple[str, int]] = set()
        self._is_current = True
        self._written_at = time.monotonic()

    @property
    def file(self) -> Path:
        return self.folder / RUN

    @property
    def scenarios(self) -> Path:
        """The folder of scenarios that were written for this run alone, if there are any."""
        return self.folder / "scenarios"

    @property
    def cells(self) -> Sequence[CellResult]:
        return self.run.cells

    def seed(self, repetition: int) -> int:
        """Return the seed of a repetition."""
        return self.run.seeds[repetition - 1]

    def left(self, again: Container[str] = ()) -> list[Task]:
        """Return the tasks that are missing or unproven, or have an outcome `again`."""
        there = {cell.key for cell in self.cells if outcome(cell) not in again}
        there -= self._unproven
        return [(cell, number) for cell, number in self.run.tasks if (cell.id, number) not in there]

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Hold the run's lock, as every writer must, and repair the run before.

        Cells that another process has written meanwhile are read, unfinished files of killed
        processes are removed, and damaged files are reported and quarantined. In the end `run.json`
        is up to date. Raises UserError at once where another process holds the lock, and as `find`.
        """
        lock = self.folder / LOCK
        sentence = (
            f"{self.folder} is being measured by another process ({locks.holder(lock)}it holds "
            f"{lock}); wait for its end, or end it."
        )
        with locks.taken(lock, sentence):
            with usable(self.folder):
                self._repair()
            try:
                yield
            finally:
                if not self._is_current:
                    self.write()

    def _repair(self) -> None:
        for unfinished in list(self.folder.rglob(f".*.{UNFINISHED}")):
            remove(unfinished)
        self.run, damaged, self._is_current = _load(self.folder)
        for path, reason in damaged.items():
            quarantine(path, reason)
        if self.folder / PLAN in damaged:
            store(self.folder, {PLAN: self.run.head.to_json()})
        for cell, reason in self.unproven():
            quarantine(self.evidence(cell) / TIMELINE, reason)
        if not self._is_current:
            self.write()

    def unproven(self) -> list[tuple[CellResult, str]]:
        """Return the cells whose timeline is missing or damaged, each with the reason.

        They keep their verdicts, and are `left` from now on.
        """
        found = []
        for cell in self.cells:
            try:
                self._evidence(cell)
            except Damaged as damage:
                found.append((cell, str(damage)))
        self._unproven = {cell.key for cell, _ in found}
        return found

    def add(self, measurement: Measurement) -> None:
        """Write a cell's folder: its evidence, and the cell itself.

        It replaces an earlier measurement of the same cell, unless it is an error and that is not.
        Raises UserError where it cannot be written.
        """
        cell, timeline = measurement.cell, measurement.timeline
        before = [each for each in self.cells if each.key == cell.key]
        if measured(before) and not cell.is_measured:
            log.warning(f"{cell.id}: could not be measured again; the earlier measurement stays")
            return
        lines = [f"{at:9.3f}  {line}\n" for at, line in (timeline.log if timeline else ())]
        contents = {
            TIMELINE: encode(timeline) if timeline else None,
            HAPROXY_LOG: "".join(lines) if timeline else None,
            CONSOLE: measurement.console or None,
            CELL: cell.to_json(),
        }
        store(self.evidence(cell), contents)
        self._unproven.discard(cell.key)
        self._put(cell)
        if time.monotonic() - self._written_at >= REWRITE_SECONDS:
            self.write()

    def _put(self, cell: CellResult) -> None:
        others = [each for each in self.cells if each.key != cell.key]
        self.run = self.run.with_cells([*others, cell])
        self._is_current = False

    def evidence(self, cell: CellResult) -> Path:
        """Return a cell's folder, which has its timeline, log and console."""
        return _cell_folder(self.folder, cell.id, cell.repetition)

    def timeline(self, cell: CellResult) -> Timeline | None:
        """Return a cell's timeline; None for a cell that never began, which left none.

        Raises Damaged where it is missing, not as it was written, or not a timeline.
        """
        data = self._evidence(cell)
        try:
            return None if data is None else read_timeline(parsed(data))
        except ValueError as error:
            raise Damaged(f"is not a timeline ({error})") from error

    def _evidence(self, cell: CellResult) -> bytes | None:
        """Return the content of a cell's timeline. Raises Damaged if it is not as it was written.

        To parse it takes time; to verify it does not.
        """
        file = self.evidence(cell) / TIMELINE
        return read(file) if is_listed(file) or cell.is_measured else None

    def recompute(self) -> Recomputed:
        """Judge all cells again by their stored evidence.

        A cell that never began has none, and stays as it is. Raises UserError where another process
        measures the run, and where it cannot be written.
        """
        changed, kept = [], []
        with self.measuring():
            for cell in self.cells:
                if cell.key in self._unproven:
                    kept.append(cell.id)
                    continue
                try:
                    timeline = self.timeline(cell)
                except Damaged as damage:
                    log.warning(f"{self.evidence(cell) / TIMELINE} {damage}")
                    kept.append(cell.id)
                    continue
                again = cell if timeline is None else cell.with_judgement(judge(timeline))
                if again != cell:
                    store(self.evidence(cell), {CELL: again.to_json()})
                    self._put(again)
                    changed.append(cell.id)
        return Recomputed(changed, kept)

    def finish(self) -> None:
        """Record that the run came to its end, which an interrupted run does not."""
        self.run = self.run.model_copy(update={"finished": _now().isoformat(timespec="seconds")})
        self.write()

    def write(self) -> None:
        """Bring `run.json` up to date. Raises UserError where it cannot be written."""
        store(self.folder, {RUN: self.run.to_json()})
        self._is_current = True
        self._written_at = time.monotonic()


def begin(
    parent: Path,
    host: Mapping[str, Any],
    cells: Sequence[Cell],
    left_out: Sequence[tuple[Cell, str]] = (),
    seeds: Sequence[int] = (0,),
    clock: str = "real",
    probe_interval: float | None = None,
    origin: RunOrigin | None = None,
) -> Results:
    """Return a new run of cells, each with each of the seeds, and let `latest` point at it.

    `host` has the fields of HostSummary; `probe_interval` is in seconds, or None for that of each
    scenario. Raises UserError where the folder cannot be written.
    """
    require_place(parent)
    started = _now()
    folder = make_run_folder(parent, started.strftime("%Y%m%d-%H%M%S"))
    run = RunResult.model_validate(
        {
            **dict(origin or RunOrigin()),
            "schema": SCHEMA,
            "run": folder.name,
            "started": started.isoformat(timespec="seconds"),
            "finished": None,
            "host": HostSummary.model_validate(host),
            "planned": tuple(cell.id for cell in cells),
            "seeds": tuple(seeds),
            "repeat": len(seeds),
            "clock": clock,
            "probe_interval": probe_interval,
            "left_out": tuple(Omission(id=cell.id, reason=reason) for cell, reason in left_out),
            "cells": (),
        }
    )
    store(folder, {PLAN: run.head.to_json(), RUN: run.to_json()})
    point_latest(parent, folder.name)
    return Results(folder, run)


def find(parent: Path, run: str) -> Results:
    """Return a stored run by its name, such as `latest`, or by its folder.

    Damaged files are reported, quarantined and written again where that is possible. Raises
    UserError where there is no such run, its form is not known, or neither `plan.json` nor
    `run.json` is as it was written.
    """
    folder = locate_run(parent, run)
    with usable(folder):
        loaded = _load(folder)
    results = Results(folder, loaded.run)
    if loaded.damaged or not (loaded.is_current or locks.is_held(folder / LOCK)):
        with results.measuring():
            pass
    return results


def _load(folder: Path) -> _Loaded:
    """Return a stored run, and which of its files are damaged; nothing is changed."""
    if not (folder / SUMS).exists():
        raise UserError(
            f"{folder}: the form of this run is not known (it has no {SUMS}). Measure it anew."
        )
    damaged: dict[Path, str] = {}
    plan, run = folder / PLAN, folder / RUN
    planned = _attempt(plan, lambda: parse(plan, RunHead), damaged)
    stored = _attempt(run, lambda: _stored_head(run, planned), damaged)
    head = planned or stored
    if head is None:
        raise UserError(f"{run} {damaged[run]}, and {plan} {damaged[plan]}. Measure it anew.")
    finished = stored.finished if stored else None
    content = RunResult.model_validate({**dict(head), "finished": finished, "cells": ()})
    cells = []
    for cell, repetition in content.tasks:
        path = _cell_folder(folder, cell.id, repetition) / CELL
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path.parent} leads outside of its run. Remove it.")
        # A cell without checksums is one that was being written when its process was killed.
        if path.exists() and (path.parent / SUMS).exists():
            key = (cell.id, repetition)
            found = _attempt(path, partial(_stored_cell, path, key), damaged)
            cells += [found] if found else []
    content = content.with_cells(cells)
    return _Loaded(content, damaged, run not in damaged and is_stored(run, content.to_json()))


def _attempt(path: Path, reader: Callable[[], T], damaged: dict[Path, str]) -> T | None:
    """Return the content of a file; if it is damaged, note the reason and return None."""
    try:
        return reader()
    except Damaged as damage:
        damaged[path] = str(damage)
        return None


def _stored_head(path: Path, planned: RunHead | None) -> RunHead:
    head = parse(path, RunHead)
    if planned and planned.started != head.started:
        raise Damaged("is another run's")
    return head


def _stored_cell(path: Path, key: tuple[str, int]) -> CellResult:
    cell = parse(path, CellResult)
    if cell.key != key:
        raise Damaged("is another cell's")
    return cell


def _cell_folder(folder: Path, id_: str, repetition: int) -> Path:
    again = "" if repetition == 1 else f"repetition-{repetition}"
    return folder / "cells" / id_ / again


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
