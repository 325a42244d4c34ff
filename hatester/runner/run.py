"""A run of the matrix: guests side by side, in each of them one cell after another."""

from __future__ import annotations

import contextlib
import enum
import itertools
import logging
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from hatester.analysis.model import Measurement
from hatester.analysis.outcomes import has_unsaid, lines, outcome
from hatester.artifacts.builder import Materials
from hatester.guests import host_capabilities, machines
from hatester.guests.checkpoint import Starter
from hatester.guests.guest import Guest
from hatester.guests.vagrant import Vagrant
from hatester.matrix.clients import read_clients
from hatester.matrix.plan import Plan, Task
from hatester.matrix.shards import Batch
from hatester.results.store import Results
from hatester.runner.cell import not_measured, run_cell
from hatester.runner.guest_plan import Order
from hatester.runner.guest_protocol import TaintedGuest
from hatester.runner.queue import Schedule
from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.log import mute_progress
from hatester.util.paths import PROJECT
from hatester.util.progress import Progress

log = logging.getLogger(__name__)

LOSSES = 4
"""Guests of a kernel that fail in a row before it is given up: two cells, each tried twice."""
_END_POLL_SECONDS = 0.1


class Keep(enum.Enum):
    """The guests to keep after a run: none, those with a cell that was not measured, or all."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class RunOptions:
    """Options of a run: its guests at once, which of them it keeps, and what it measures again.

    `jobs` 0 means as many guests as the host has room for. Cells with one of the outcomes
    `again` are measured once more.
    """

    keep: Keep = Keep.NEVER
    jobs: int = 0
    again: Collection[str] = ()


class Run:
    """A run on its way to complete results.

    `plan` has all that its cells need. In a new run it has all planned cells of their kernels.
    """

    vagrant: Vagrant
    """The way to the run's machines, while it runs."""
    _slots: threading.Semaphore

    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        materials: Materials,
        results: Results,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.options = options
        self.materials = materials
        self.results = results
        self._progress = progress
        left = results.left(options.again)
        self._left = len(left)
        self._schedule = Schedule(left)
        self._lock = threading.Lock()
        self._machines: set[str] = set()
        self._tried: set[Task] = set()
        self._losses: Counter[str] = Counter()
        self._is_over = threading.Event()

    @property
    def planned(self) -> int:
        """Return the number of measurements that the results will have."""
        return len(self.results.run.tasks)

    @property
    def done(self) -> int:
        """Return the number of measurements that need not be made again."""
        return self.planned - self._left

    def run(self) -> Vagrant | None:
        """Measure all cells. Returns the way to the machines that were kept, if any.

        Raises UserError for what only the user can mend.
        """
        self._progress.begin(self.planned)
        with machines.machines_folder(self.results.folder.name) as folder:
            chosen = host_capabilities.choose_engine(self.results.run.clock)
            self.vagrant = Vagrant(PROJECT, folder, chosen)
            jobs = self.options.jobs or host_capabilities.guests_at_once(chosen)
            self._slots = threading.Semaphore(jobs)
            # On a clock of its own, a guest can be started while others measure.
            count = jobs + 1 if chosen.is_virtual else jobs
            with ThreadPoolExecutor(count, "guest") as pool:
                workers = [pool.submit(self._work) for _ in range(count)]
                try:
                    first, _ = wait(workers, return_when=FIRST_EXCEPTION)
                finally:
                    self._end(workers, folder)
            # The reason is that of the first; the others only hear that it is over.
            for worker in (*first, *workers):
                worker.result()
            self.results.finish()
        return self.vagrant if machines.is_kept(folder) else None

    def _end(self, workers: list[Future[None]], folder: Path) -> None:
        """Have all workers end: one that waits for a command or a guest hears that it ended."""
        self._is_over.set()
        mute_progress()
        if all(worker.done() for worker in workers):
            return
        with process.stopped():
            while not all(worker.done() for worker in workers):
                machines.end(folder)
                wait(workers, timeout=_END_POLL_SECONDS)

    def _work(self) -> None:
        """Start one guest after another, each for the batch that is most wanted then."""
        while not self._is_over.is_set() and (batch := self._schedule.take()):
            try:
                self._run_guest(batch)
            finally:
                self._schedule.leave(batch.kernel)

    def _run_guest(self, batch: Batch) -> None:
        """Measure a batch in a new guest, as long as it is fit for that."""
        machine = self._take_name(batch.kernel)
        self._progress.doing(machine, "waiting for its image")
        is_kept = False
        left = deque(batch.tasks)
        try:
            with self._start(batch.kernel, machine) as guest, self._slot(machine):
                is_kept = self._run_cells(guest, left)
        except MeasurementError as error:
            self._give_up(batch.kernel, left, machine, error)
        except OSError as error:
            # The disk may be full, or somebody has removed the files of the machine.
            reason = MeasurementError(f"on this host: {error}")
            self._give_up(batch.kernel, left, machine, reason)
        else:
            self._schedule.put_back(batch.kernel, left)
        if is_kept:
            machines.keep(self.vagrant.folder)
        else:
            self._destroy(machine)
        self._progress.gone(machine)

    def _take_name(self, kernel: str) -> str:
        """Take a free name for a guest: its kernel's, with a number if necessary."""
        names = itertools.chain([kernel], (f"{kernel}-{number}" for number in itertools.count(2)))
        with self._lock:
            machine = next(name for name in names if name not in self._machines)
            self._machines.add(machine)
        return machine

    def _start(self, kernel: str, machine: str) -> Guest:
        """Start a guest with all builds that the kernel's cells need and that exist.

        Cells of other shards count: each machine's checkpoint of a kernel is the same.
        """
        image = self.materials.image(kernel)
        builds = self.plan.of_kernels([kernel]).builds
        trees = self.materials.those_of(builds)
        starter = Starter(image, trees, self.materials.keys, self.vagrant, self._progress)
        return starter.start(machine)

    @contextlib.contextmanager
    def _slot(self, machine: str) -> Iterator[None]:
        """Wait until no more guests measure than may at once."""
        self._progress.doing(machine, "waiting for its turn")
        while not self._slots.acquire(timeout=_END_POLL_SECONDS):
            if self._is_over.is_set():
                raise MeasurementError("the run is over")
        try:
            yield
        finally:
            self._slots.release()

    def _run_cells(self, guest: Guest, left: deque[Task]) -> bool:
        """Measure cell by cell what is left of a batch, as long as the guest lives and is clean.

        Returns whether it is to be kept.
        """
        has_failed, is_fresh = False, True
        while left and not self._is_over.is_set():
            task = left[0]
            try:
                result = self._measure(guest, task)
            except TaintedGuest as error:
                if not is_fresh:
                    return False
                reason = f"the guest is not clean, though new: {error}"
                result = self._not_measured(task, reason)
                is_fit = False
            else:
                is_fit = result.cell.is_measured or guest.is_fit()
            if not (self._is_chance(result, is_fit) and self._may_try_again(task, result)):
                left.popleft()
                self._add(result)
                has_failed |= not result.cell.is_measured
            if not self._goes_on(task[0].kernel, guest, result, is_fit):
                return False
            is_fresh = False
        keep = self.options.keep
        return keep is Keep.ALWAYS or (keep is Keep.FAILED and has_failed)

    def _goes_on(self, kernel: str, guest: Guest, result: Measurement, is_fit: bool) -> bool:
        """Return whether a guest can go on. Raises MeasurementError if its kernel is given up."""
        if is_fit:
            if result.cell.is_measured:
                self._losses[kernel] = 0
            return True
        self._losses[kernel] += 1
        if self._losses[kernel] >= LOSSES:
            last = result.cell.error
            raise MeasurementError(
                f"{LOSSES} guests of this kernel were lost one after another, the last: {last}"
            )
        return False

    def _measure(self, guest: Guest, task: Task) -> Measurement:
        cell, repetition = task
        try:
            tree = self.materials.tree(cell.build)
        except MeasurementError as error:
            return self._not_measured(task, str(error))
        order = replace(
            Order.of(self.plan, cell),
            seed=self.results.seed(repetition),
            probe_interval=self.results.run.probe_interval,
            clients=read_clients(self.results.run.clients),
        )
        steps = order.scenario.steps

        def at_step(number: int) -> None:
            what = f"step {number}: {steps[number - 1]}" if number <= len(steps) else "at its end"
            self._progress.step(guest.machine, cell.id, what)

        at_step(1)
        return run_cell(guest, cell, repetition, order, tree, at_step)

    @staticmethod
    def _is_chance(result: Measurement, is_fit: bool) -> bool:
        """Return whether a busy host, or a weakness of emulation, may be the reason for a result.

        On a busy host, HAProxy may even miss a reload. An emulated guest dies now and then.
        """
        cell = result.cell
        is_starved = not cell.is_measured and cell.quality is not None
        is_unsaid = cell.clock == "real" and has_unsaid(cell)
        return not is_fit or is_starved or is_unsaid

    def _may_try_again(self, task: Task, result: Measurement) -> bool:
        """Return True once for each task."""
        if task in self._tried or self._is_over.is_set():
            return False
        self._tried.add(task)
        reason = result.cell.error or "HAProxy did not say what became of a reload"
        log.info(f"{task[0].id}: {reason}; once more")
        return True

    def _give_up(
        self, kernel: str, left: Sequence[Task], machine: str, error: MeasurementError
    ) -> None:
        """Add results without a measurement, since no guest of a kernel can be started."""
        console = self.vagrant.console(machine).text()
        self._schedule.put_back(kernel, left)
        for task in self._schedule.give_up(kernel):
            try:
                self.materials.tree(task[0].build)
                reason = str(error)
            except MeasurementError as missing:
                reason = str(missing)
            self._add(self._not_measured(task, reason, console))

    def _not_measured(self, task: Task, reason: str, console: str = "") -> Measurement:
        return not_measured(*task, reason, console, self.results.seed(task[1]))

    def _destroy(self, machine: str) -> None:
        if self._is_over.is_set():
            return
        try:
            self.vagrant.destroy(vm_name=machine)
        except MeasurementError as error:
            # The end of the run ends what is left; the name stays taken.
            log.info(f"guest {machine}: {error}")
        else:
            self._machines.discard(machine)

    def _add(self, result: Measurement) -> None:
        with self._lock:
            if self._is_over.is_set():
                return
            self.results.add(result)
            self._left -= 1
            [line] = lines([result.cell])
            text = f"{result.cell.id}: {line} ({result.cell.seconds:.1f} s)"
            self._progress.measured(outcome(result.cell), text, self.done, self.planned)
