"""An estimate of a run before it begins: its guests, and about how long and how much room it takes.

It takes from the newest run how long cells took, and from the cache what exists already. Other
figures are typical ones of docs/performance.md.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from hatester.guests.host_capabilities import Engine, choose_accelerator, guests_at_once
from hatester.matrix.declarations import Kernel
from hatester.matrix.plan import Plan, Task
from hatester.runner.queue import Schedule
from hatester.util.paths import LATEST
from hatester.util.text import counted, listed
from hatester.util.versions import matches

_CELL_SECONDS = {"virtual": 5.0, "real": 10.0}
_CONTINUE_SECONDS = 2.0
"""Until a saved guest waits for a cell."""
_CELL_MB = 0.15
"""Of evidence, and of reports."""


@dataclass(frozen=True)
class Cost:
    """The seconds that a thing takes to make, with others made meanwhile, and its MB on the disk.

    Together, those of the default matrix are what an empty cache costs it.
    """

    seconds: float
    mb: float


COSTS = {
    "system": Cost(50, 300),
    "kernel": Cost(8, 100),
    "build": Cost(4, 30),
    "saved guest": Cost(9, 220),
}


@dataclass(frozen=True)
class Estimate:
    """Counts of a run; `lacks` counts what the cache lacks, by the names in COSTS."""

    cells: int
    guests: int
    at_once: int
    seconds: float
    mb: float
    lacks: Mapping[str, int]

    def __str__(self) -> str:
        lacks = listed(counted(count, name) for name, count in self.lacks.items() if count)
        made = f", with {lacks} that the cache lacks" if lacks else ""
        return (
            f"{counted(self.cells, 'cell')} in {counted(self.guests, 'guest')}, {self.at_once} at "
            f"once: about {_minutes(self.seconds)} and {max(1, round(self.mb))} MB{made}"
        )


def estimate(plan: Plan, tasks: Sequence[Task], clock: str, results: Path) -> Estimate:
    """Estimate the run of these tasks of a plan, on a clock of guests.

    `results` is the folder of runs. Raises UserError where the cache cannot be used.
    """
    accelerator = choose_accelerator()
    if clock == "auto":
        clock = "virtual" if accelerator == "tcg" else "real"
    guests = len(list(_batches(tasks)))
    at_once = min(guests, guests_at_once(Engine(accelerator, clock, cpus=1)))
    lacks = _lacks(plan, cache.root())
    known = _measured(results / LATEST / "run.json", clock)
    cells = sum(known.get(cell.scenario, _CELL_SECONDS[clock]) for cell, _ in tasks)
    made = [(COSTS[name], count) for name, count in lacks.items()]
    return Estimate(
        cells=len(tasks),
        guests=guests,
        at_once=at_once,
        seconds=(cells + guests * _CONTINUE_SECONDS) / max(1, at_once)
        + sum(cost.seconds * count for cost, count in made),
        mb=_CELL_MB * len(tasks) + sum(cost.mb * count for cost, count in made),
        lacks=lacks,
    )


def _batches(tasks: Iterable[Task]) -> Iterable[object]:
    schedule = Schedule(tasks)
    while batch := schedule.take():
        yield batch


def _measured(run: Path, clock: str) -> dict[str, float]:
    """Return the mean seconds of a cell by scenario, in a run on that clock, if there is one."""
    try:
        content = json.loads(run.read_text())
        if content["clock"] != clock:
            return {}
        seconds: dict[str, list[float]] = {}
        for cell in content["cells"]:
            if cell["verdict"] != "error":
                seconds.setdefault(cell["scenario"], []).append(float(cell["seconds"]))
        return {scenario: sum(each) / len(each) for scenario, each in seconds.items()}
    except (OSError, ValueError, LookupError, TypeError):
        return {}  # a damaged run is reported where it is used


def _lacks(plan: Plan, folder: Path) -> dict[str, int]:
    """Count what a plan needs and the cache lacks, by the names in COSTS.

    What has no declared version counts as lacking: the cache knows it by its content alone.
    """
    kits = _entries(folder, "kernels/*/kit.json")
    trees = {each.get("version", "") for each in _entries(folder, "builds/*/build.json")}
    saved = _entries(folder, "ready/*/ready.json")
    kernels = {name: plan.matrix.kernels[name] for name in plan.kernels}
    releases = {name: _releases(kernel, kits) for name, kernel in kernels.items()}
    builds: dict[str, set[str]] = {name: set() for name in kernels}
    for cell in plan.cells:
        builds[cell.kernel].add(cell.build)

    def is_saved(kernel: str) -> bool:
        return any(
            each.get("release") in releases[kernel] and {*each.get("builds", ())} == builds[kernel]
            for each in saved
        )

    systems = {kernel.system for kernel in kernels.values()}
    versions = [plan.matrix.builds[name].version for name in plan.builds]
    return {
        "system": max(0, len(systems) - len([*folder.glob("systems/[!.]*")])),
        "kernel": sum(not each for each in releases.values()),
        "build": sum(not any(each and matches(tree, each) for tree in trees) for each in versions),
        "saved guest": sum(not is_saved(name) for name in kernels),
    }


def _releases(kernel: Kernel, kits: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the releases of the kits that a kernel may be, by its declared version."""
    linux = kernel.linux
    return {
        release
        for kit in kits
        if linux
        and (release := kit.get("release"))
        and (release == linux or matches(kit.get("version", ""), linux))
    }


def _entries(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """Return the descriptions of cache entries, except damaged ones."""
    found = []
    for file in folder.glob(pattern):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(dict(json.loads(file.read_text())))
    return found


def _minutes(seconds: float) -> str:
    return counted(max(1, round(seconds / 60)), "minute")
