"""Results: `results/RUN/run.json`, whole at any moment, and what lies beside it.

What is stored is only believed as it was written (`schema`), and made again from what else there is
of it (`recovery`). Whoever writes to a run holds its lock; reading it needs none.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hatester.analysis.model import Result
from hatester.analysis.outcomes import measured, outcome
from hatester.matrix.plan import FLAGS, Cell, Task, cell_of
from hatester.matrix.scenario import AFTER, BEFORE, ROOT
from hatester.results import evidence, folders, recovery
from hatester.results.schema import keep_sealed
from hatester.util import locks
from hatester.util.errors import UserError
from hatester.util.files import UNFINISHED, remove
from hatester.util.jsonfile import Damaged

log = logging.getLogger(__name__)


class Recomputed(NamedTuple):
    """The ids of the cells of which something else is said now, and of those that could not be
    judged again."""

    changed: list[str]
    kept: list[str]


class Results:
    """A run's folder. Every cell is on disk as soon as it is added."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        self.run = run
        self._unproven: set[recovery.Key] = set()

    @property
    def planned(self) -> list[Task]:
        """All that is to be measured, in the order in which it is.

        Raises UserError for a run that does not say.
        """
        if not {"planned", "seeds", "clock", "probe_interval"} <= self.run.keys():
            raise UserError(f"{self.file} does not say what was planned.")
        return [
            (cell_of(id_), number)
            for number in range(1, len(self.run["seeds"]) + 1)
            for id_ in self.run["planned"]
        ]

    def seed(self, repetition: int) -> int:
        """The seed of a repetition."""
        seed: int = self.run["seeds"][repetition - 1]
        return seed

    @property
    def described_builds(self) -> dict[str, str]:
        """What --haproxy was given for those of its builds that are declared in no file."""
        builds: dict[str, str] = self.run.get("builds", {})
        return builds

    def left(self, again: Container[str] = ()) -> list[Task]:
        """What is to be measured and is not there, or is `unproven`, or has one of the outcomes
        `again`."""
        there = {recovery.key(each) for each in self.cells if outcome(each) not in again}
        there -= self._unproven
        return [(cell, number) for cell, number in self.planned if (cell.id, number) not in there]

    @property
    def described_kernels(self) -> dict[str, str]:
        """What --kernel was given for those of its kernels that are declared in no file."""
        kernels: dict[str, str] = self.run.get("kernels", {})
        return kernels

    @property
    def file(self) -> Path:
        return self.folder / recovery.RUN

    @property
    def scenarios(self) -> Path:
        """The folder of scenarios that were made for this run alone, if there are any."""
        return self.folder / "scenarios"

    @property
    def cells(self) -> list[dict[str, Any]]:
        cells: list[dict[str, Any]] = self.run["cells"]
        return cells

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Have the run alone, as whoever writes to it must, and made whole again before.

        What another process has written meanwhile is read, what killed ones left is removed, and
        evidence that is damaged is told and set aside. Raises UserError at once where another
        process has the run, and as `recovery.mend`.
        """
        lock = self.folder / "lock"
        sentence = (
            f"{self.folder} is being measured by another process ({locks.holder(lock)}it holds "
            f"{lock}); wait for its end, or end it."
        )
        with locks.taken(lock, sentence):
            for unfinished in list(self.folder.rglob(f".*.{UNFINISHED}")):
                remove(unfinished)
            self.run = recovery.mend(self.folder)
            for entry, reason in self.unproven():
                recovery.put_aside(self.evidence(entry) / evidence.TIMELINE, reason)
            yield

    def unproven(self) -> list[tuple[dict[str, Any], str]]:
        """The cells whose timeline is missing or damaged, each with the reason.

        They keep their verdicts, and are `left` from now on.
        """
        found = []
        for entry in self.cells:
            try:
                self.timeline(entry)
            except Damaged as damage:
                found.append((entry, str(damage)))
        self._unproven = {recovery.key(entry) for entry, _ in found}
        return found

    def add(self, result: Result) -> None:
        """Write a cell's evidence, then the cell itself, at its place in the plan.

        It takes the place of an earlier measurement of the same, unless it is an error and that is
        none. Raises UserError where it cannot be written.
        """
        which = recovery.key(result.entry)
        before = [each for each in self.cells if recovery.key(each) == which]
        if measured(before) and not measured([result.entry]):
            log.warning(f"{which[0]}: could not be measured again; what was measured before stays")
            return
        others = [each for each in self.cells if recovery.key(each) != which]
        entry = {
            **result.entry,
            "seed": self.seed(result.entry["repetition"]),
            "evidence": evidence.write(self.evidence(result.entry), result),
        }
        keep_sealed(recovery.cell_file(self.folder, entry), entry)
        self._unproven.discard(which)
        self.cells[:] = recovery.in_order(self.run, [*others, entry])
        self.write()

    def evidence(self, entry: Mapping[str, Any]) -> Path:
        """Where a cell's timeline, log and console are."""
        return evidence.folder(self.folder, entry["id"], entry["repetition"])

    def timeline(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """A cell's timeline, as `evidence.timeline` has it."""
        return evidence.timeline(self.evidence(entry), entry)

    def command(self, entry: Mapping[str, Any]) -> str:
        """What measures a cell again, as a line for a shell."""
        words = ["./bootstrap", "invoke", "matrix"]
        names = dict(zip(FLAGS.values(), str(entry["id"]).split("/"), strict=True))
        if "captured" in self.run:
            words += ["--host", self.run["captured"], "--only", str(entry["id"])]
            names.clear()
        elif self.scenarios.exists():
            words += self._configuration(names.pop(FLAGS["scenarios"]))
            words += ["--only", str(entry["id"])]
        described = {
            FLAGS["kernels"]: self.described_kernels,
            FLAGS["haproxy"]: self.described_builds,
        }
        for flag, name in names.items():
            words += [flag, described.get(flag, {}).get(name, name)]
        if interval := self.run.get("probe_interval"):
            words += ["--probe-interval", f"{interval:g}s"]
        words += ["--seed", str(entry["seed"]), "--clock", entry["clock"] or self.run["clock"]]
        return shlex.join(words)

    def _configuration(self, scenario: str) -> list[str]:
        """Return the flags that give the configurations of a scenario, with what they need."""
        folder = self.scenarios / scenario
        words = ["--config", str(folder / f"{BEFORE}.cfg"), "--after", str(folder / f"{AFTER}.cfg")]
        root = folder / ROOT
        for file in sorted(each for each in root.rglob("*") if each.is_file()):
            words += ["--file", f"/{file.relative_to(root).as_posix()}={file}"]
        for name, value in self.run.get("configuration", {}).get("env", {}).items():
            words += ["--env", f"{name}={value}"]
        return words

    def recompute(self) -> Recomputed:
        """Judge all cells again by their stored evidence.

        A cell that never began has none, and stays as it is. Raises UserError where another process
        measures the run, and where it cannot be written.
        """
        changed, kept = [], []
        with self.measuring():
            for number, entry in enumerate(self.cells):
                if recovery.key(entry) in self._unproven:
                    kept.append(entry["id"])
                    continue
                try:
                    timeline = self.timeline(entry)
                    again = entry if timeline is None else evidence.judged_again(entry, timeline)
                except Damaged as damage:
                    log.warning(f"{self.evidence(entry) / evidence.TIMELINE} {damage}")
                    kept.append(entry["id"])
                    continue
                if again != entry:
                    keep_sealed(recovery.cell_file(self.folder, again), again)
                    self.cells[number] = again
                    changed.append(again["id"])
            if changed:
                self.write()
        return Recomputed(changed, kept)

    def finish(self) -> None:
        """Say that the run came to its end, which one that was interrupted does not."""
        finished = {**self.run, "finished": _now().isoformat(timespec="seconds")}
        keep_sealed(self.folder / recovery.PLAN, recovery.head(finished))
        self.run = finished
        self.write()

    def write(self) -> None:
        """Bring `run.json` up to date. Raises UserError where it cannot be written."""
        keep_sealed(self.file, self.run)


def begin(
    parent: Path,
    host: dict[str, Any],
    cells: Sequence[Cell],
    left_out: Sequence[tuple[Cell, str]] = (),
    seeds: Sequence[int] = (0,),
    clock: str = "real",
    probe_interval: float | None = None,
    further: Mapping[str, Any] | None = None,
) -> Results:
    """A folder for a new run of these cells, each with each of the seeds, to which `latest` points.

    `probe_interval` is in seconds; None for that of each scenario. `further` is what else
    `run.json` is to say. Raises UserError when the folder cannot be made.
    """
    folders.require_place(parent)
    started = _now()
    folder = folders.make(parent, started.strftime("%Y%m%d-%H%M%S"))
    results = Results(
        folder,
        {
            "schema": recovery.SCHEMA,
            "run": folder.name,
            "started": started.isoformat(timespec="seconds"),
            "finished": None,
            "host": host,
            "planned": [cell.id for cell in cells],
            "seeds": [*seeds],
            "repeat": len(seeds),
            "clock": clock,
            "probe_interval": probe_interval,
            **(further or {}),
            "left_out": [{"id": cell.id, "reason": reason} for cell, reason in left_out],
            "cells": [],
        },
    )
    keep_sealed(folder / recovery.PLAN, recovery.head(results.run))
    results.write()
    folders.point(parent, folder.name)
    return results


def find(parent: Path, run: str) -> Results:
    """A stored run by its name, such as `latest`, or by its folder.

    Where something of it is damaged, that is told and set aside, and made again. Raises UserError
    when there is none, and as `recovery.load`; where something is damaged as `Results.measuring`.
    """
    folder = folders.locate(parent, run)
    found = recovery.load(folder)
    results = Results(folder, found.run)
    if found.damaged:
        with results.measuring():
            pass
    return results


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
