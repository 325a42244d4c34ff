"""`invoke bench`: how long things take on this host, and how long what one would do instead takes.

Each part does what it measures and gives figures. Whole runs are the command itself, with the
results that it leaves; guests are started and cells measured as a run does it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hatester.analysis.outcomes import longest_outage
from hatester.analysis.timeline import percentile
from hatester.artifacts import cache
from hatester.artifacts.apt import debian
from hatester.artifacts.builder import workshop
from hatester.artifacts.gc import SAVED, disk_bytes
from hatester.artifacts.kernel_source import kernels_of
from hatester.guests import host_capabilities, machines
from hatester.guests.checkpoint import Starter
from hatester.guests.guest import Guest
from hatester.guests.vagrant import Vagrant
from hatester.matrix.declarations import load_matrix
from hatester.matrix.kernel_spec import with_kernels
from hatester.matrix.plan import Plan, Wanted, make_plan
from hatester.results.store import Results, find
from hatester.runner.cell import run_cell
from hatester.runner.guest_plan import Order
from hatester.util import process
from hatester.util.files import write_whole
from hatester.util.paths import MATRIX, PROJECT, RESULTS, WORK
from hatester.util.progress import Progress
from hatester.util.settings import Settings
from hatester.util.validation import require

log = logging.getLogger(__name__)

RUN_SECONDS = 3 * 3600.0
STARTS = 5
"""Starts from a checkpoint. A boot takes long, and is measured less often."""
BOOTS = 2
GUESTS_AT_ONCE = (1, 2, 3)
REPETITIONS = (1, 2)
CLOCK_REPETITIONS = 3
BUSY_PROCESSES = 3


HEADERS = ("figure", "unit", "times", "least", "median", "most")


@dataclass(frozen=True)
class Figure:
    """A figure that was measured, with every value; `unit` is s, MiB or cells."""

    name: str
    unit: str
    values: Sequence[float]

    @property
    def row(self) -> tuple[object, ...]:
        """Return name, unit and count; also minimum, median and maximum, if it was measured."""
        found = (
            (min(self.values), percentile(self.values, 0.5), max(self.values))
            if self.values
            else ()
        )
        return (self.name, self.unit, len(self.values), *(round(value, 3) for value in found))

    def __str__(self) -> str:
        if not self.values:
            return f"{self.name}: not measured"
        return f"{self.name}: {round(percentile(self.values, 0.5), 3)} {self.unit}"


@dataclass(frozen=True)
class Subject:
    """The subject of a measurement: guests of one kernel, and the first cell of a plan."""

    plan: Plan
    starter: Starter
    clock: str

    @property
    def kernel(self) -> str:
        return self.plan.cells[0].kernel

    @contextlib.contextmanager
    def guest(self, start: Callable[[str], Guest]) -> Iterator[Guest]:
        with start(self.kernel) as guest:
            yield guest
        self.starter.vagrant.destroy(vm_name=self.kernel)

    def measure(self, guest: Guest) -> None:
        """Measure the first cell of the plan in a guest."""
        cell = self.plan.cells[0]
        order, tree = Order.of(self.plan, cell), self.starter.trees[cell.build]
        run_cell(guest, cell, 1, order, tree, at_step=lambda _: None)


def starts(subject: Subject) -> Iterator[Figure]:
    """Measure the start of a guest up to its first answer, and what it takes of the host."""
    boots, answers, programs, memory, disk = [], [], [], [], []
    for _ in range(BOOTS):
        begin = time.monotonic()
        with subject.guest(subject.starter.boot):
            boots.append(time.monotonic() - begin)
    with subject.guest(subject.starter.start):
        pass  # From now on there is a saved one.
    for _ in range(STARTS):
        begin = time.monotonic()
        with subject.guest(subject.starter.start) as guest:
            guest.run("true")
            answers.append(time.monotonic() - begin)
            guest.server()
            programs.append(time.monotonic() - begin)
            subject.measure(guest)
            memory.append(_memory(guest) / 2**20)
            disk.append(disk_bytes(guest.folder) / 2**20)
    yield Figure("guest booted and prepared", "s", boots)
    yield Figure("guest from a saved one, to the first answered command", "s", answers)
    yield Figure("guest from a saved one, until it waits for a cell", "s", programs)
    yield Figure("memory of a guest after a cell", "MiB", memory)
    yield Figure("disk of a guest after a cell", "MiB", disk)
    saved = (file.parent for file in (cache.root() / SAVED).glob("[!.]*/ready.json"))
    sizes = [disk_bytes(folder) / 2**20 for folder in saved]
    yield Figure("disk of a saved guest, in the cache", "MiB", sizes)


def cells(subject: Subject) -> Iterator[Figure]:
    """Measure cells against the time of the scenario itself, with more guests and more cells."""
    for jobs in GUESTS_AT_ONCE:
        seconds, results = _run(subject, "--jobs", str(jobs), "--repeat", str(REPETITIONS[-1]))
        measured = [cell for cell in results.cells if cell.quality]
        qualities = [cell.quality for cell in results.cells if cell.quality]
        lateness = [quality.lateness_p99 for quality in qualities]
        count = len(results.cells)
        yield Figure(f"{jobs} at once: whole run for each of {count} cells", "s", [seconds / count])
        yield Figure(f"{jobs} at once: cell", "s", [cell.seconds for cell in measured])
        yield Figure(f"{jobs} at once: prober's lateness, p99", "s", lateness)
        late = sum(quality.verdict != "good" for quality in qualities)
        yield Figure(f"{jobs} at once: cells whose prober was late", "cells", [late])
        yield Figure(f"{jobs} at once: cells not measured", "cells", [_errors(results)])
    for repetitions in REPETITIONS:
        seconds, results = _run(subject, "--repeat", str(repetitions))
        yield Figure(f"whole run of {len(results.cells)} cells", "s", [seconds])


def matrix(subject: Subject) -> Iterator[Figure]:
    """Measure the whole default matrix, with an empty and with a full cache."""
    with tempfile.TemporaryDirectory(prefix="hatester-bench-", dir=cache.root().parent) as folder:
        for what in ("empty", "full"):
            seconds, results = _invoke(["matrix", "--clock", subject.clock], XDG_CACHE_HOME=folder)
            yield Figure(f"default matrix, {what} cache", "s", [seconds])
            yield Figure(f"default matrix, {what} cache: cells", "cells", [len(results.cells)])
            yield Figure(f"default matrix, {what} cache: errors", "cells", [_errors(results)])


def clock(subject: Subject) -> Iterator[Figure]:
    """Measure the same cells on both clocks, alone and on a busy host."""
    words = ["--setting", "plain", "--scenario", "lost-address", "--repeat", str(CLOCK_REPETITIONS)]
    for name in ("real", "virtual"):
        for where, beside in (("alone", contextlib.nullcontext()), ("busy host", _busy())):
            with beside:
                seconds, results = _run(replace(subject, clock=name), *words)
            measured = [cell for cell in results.cells if cell.quality]
            lateness = [cell.quality.lateness_p99 for cell in measured if cell.quality]
            about = f"{name} clock, {where}"
            yield Figure(f"{about}: outage", "s", [longest_outage(cell) for cell in measured])
            yield Figure(f"{about}: prober's lateness, p99", "s", lateness)
            yield Figure(f"{about}: cell", "s", [cell.seconds for cell in measured])
            yield Figure(f"{about}: whole run for each cell", "s", [seconds / len(results.cells)])
            yield Figure(f"{about}: cells not measured", "cells", [_errors(results)])


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    """Run processes that take all of the processor that they can get."""
    words = ["timeout", str(RUN_SECONDS), sys.executable, "-c", "while True: pass"]
    env = {**os.environ, **process.owner_environment()}
    with contextlib.ExitStack() as undo:
        for _ in range(BUSY_PROCESSES):
            busy = subprocess.Popen(words, env=env)
            undo.callback(busy.wait)
            undo.callback(busy.terminate)
        yield


def instead(subject: Subject) -> Iterator[Figure]:
    """Measure a boot for each cell, as a loop of `vagrant up`, provision, test, destroy has it."""
    seconds = []
    for _ in range(BOOTS):
        begin = time.monotonic()
        with subject.guest(subject.starter.boot) as guest:
            subject.measure(guest)
        seconds.append(time.monotonic() - begin)
    yield Figure("a boot for each cell: cell", "s", seconds)


def bench(settings: Settings, parts: Sequence[str], clock: str) -> None:
    """Measure some parts, or all, on one of CLOCKS; show and store the figures.

    Raises UserError for a part that there is not, and for what a run needs and is not here.
    """
    for name in parts:
        require(name, PARTS, "--part")
    require(clock, host_capabilities.CLOCKS, "--clock")
    host_capabilities.require()
    plan = make_plan(*with_kernels(load_matrix(MATRIX), Wanted(), kernels_of(settings)))
    kernel, build = plan.cells[0].kernel, plan.cells[0].build
    with (
        workshop(debian(settings), plan.matrix) as shop,
        machines.machines_folder("bench") as folder,
    ):
        materials = shop.make([kernel], [build])
        starter = Starter(
            materials.image(kernel),
            {build: materials.tree(build)},
            materials.keys,
            Vagrant(PROJECT, folder, host_capabilities.choose_engine(clock)),
            Progress(),
        )
        measured = measure(parts or list(PARTS), Subject(plan, starter, clock))
    print(tabulate([figure.row for figure in measured], headers=HEADERS))
    print(f"\nresults: {store(RESULTS, host_capabilities.describe(), measured)}")


def measure(parts: Sequence[str], subject: Subject) -> list[Figure]:
    """Return the figures of these parts; each is logged as soon as it is there."""
    figures = []
    for part in parts:
        for figure in PARTS[part](subject):
            log.info(str(figure))
            figures.append(figure)
    return figures


def store(results: Path, host: Mapping[str, Any], figures: Sequence[Figure]) -> Path:
    """Write figures beside the runs, with the machine that they were measured on."""
    now = datetime.datetime.now(datetime.timezone.utc)
    file = results / "bench" / f"{now:%Y%m%d-%H%M%S}.json"
    content = {
        "schema": 1,
        "finished": now.isoformat(timespec="seconds"),
        "host": host,
        "figures": [asdict(figure) for figure in figures],
    }
    write_whole(file, json.dumps(content, indent=1) + "\n")
    return file


PARTS: Mapping[str, Callable[[Subject], Iterator[Figure]]] = {
    "starts": starts,
    "cells": cells,
    "clock": clock,
    "matrix": matrix,
    "instead": instead,
}


def _run(subject: Subject, *words: str) -> tuple[float, Results]:
    """Run the cells of the subject's kernel and build, with the default settings."""
    cell = subject.plan.cells[0]
    selection = ["--kernel", cell.kernel, "--haproxy", cell.build]
    return _invoke(["matrix", *selection, "--clock", subject.clock, *words])


def _invoke(words: Sequence[str], **env: str) -> tuple[float, Results]:
    """Run a command; return how many seconds it took, and the newest run."""
    begin = time.monotonic()
    # Cells that could not be measured are a figure as well.
    with contextlib.suppress(process.CommandError):
        process.run(
            [sys.executable, "-m", "hatester", *words], seconds=RUN_SECONDS, env=env, cwd=WORK
        )
    return time.monotonic() - begin, find(RESULTS, "latest")


def _errors(results: Results) -> int:
    return sum(not cell.is_measured for cell in results.cells)


def _memory(guest: Guest) -> int:
    """Return QEMU's private memory and its share of the rest, in bytes.

    The source is smaps_rollup (proc_pid_smaps(5)).
    """
    total = 0
    for pid in machines.pids(guest.vagrant.folder):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024
    return total
