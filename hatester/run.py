"""A run of the matrix: images and builds made, guests one after another, their cells in them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatester import guests, runs
from hatester.builds import Tree
from hatester.cells import Result, not_measured, run_cell
from hatester.errors import MeasurementError
from hatester.guests import Guest
from hatester.images import Image, Say, Unavailable
from hatester.keys import Keys
from hatester.paths import PROJECT
from hatester.plan import Cell, Plan
from hatester.results import Results
from hatester.sequence import Order
from hatester.vagrant import Vagrant


class Keep(enum.Enum):
    """Which guests go on after a run: those in which a cell could not be measured, all, or none."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class How:
    """In which way the cells of a plan are measured.

    Each `repeat` times, probed every `probe_interval` seconds (None: as its scenario has it).
    """

    keep: Keep = Keep.NEVER
    repeat: int = 1
    probe_interval: float | None = None


@dataclass(frozen=True)
class Materials:
    """What the cells of a run are made with, by name."""

    images: Mapping[str, Image | Unavailable]
    trees: Mapping[str, Tree | Unavailable]
    keys: Keys

    @property
    def linux(self) -> dict[str, str]:
        """The kernels' versions, as far as they could be made."""
        return {
            name: image.kit.version
            for name, image in self.images.items()
            if isinstance(image, Image)
        }

    @property
    def haproxy(self) -> dict[str, str]:
        """The builds' versions, as far as they could be made."""
        return {name: tree.version for name, tree in self.trees.items() if isinstance(tree, Tree)}


class Run:
    """A plan on its way to results."""

    def __init__(
        self, plan: Plan, how: How, materials: Materials, results: Results, say: Say
    ) -> None:
        self.plan = plan
        self.how = how
        self.materials = materials
        self.results = results
        self.say = say
        self._fatal: set[tuple[Cell, int]] = set()

    @property
    def planned(self) -> int:
        """How many measurements there are to be."""
        return len(self.plan.cells) * self.how.repeat

    def run(self) -> Path | None:
        """Measure all cells. Returns the folder of the machines that were kept, if any."""
        with runs.machines_folder(self.results.folder.name) as folder:
            vagrant = Vagrant(PROJECT, folder)
            for kernel in self.plan.kernels:
                self._run_kernel(kernel, vagrant)
            self.results.finish()
        return folder if runs.is_kept(folder) else None

    def _run_kernel(self, kernel: str, vagrant: Vagrant) -> None:
        """The cells of a kernel, in one guest as long as it lives."""
        image = self.materials.images[kernel]
        left: list[tuple[Cell, int]] = []
        for repetition in range(1, self.how.repeat + 1):
            for cell in (cell for cell in self.plan.cells if cell.kernel == kernel):
                missing = self._missing(cell)
                if missing:
                    self._add(not_measured(cell, repetition, missing.reason))
                else:
                    left.append((cell, repetition))
        while left and isinstance(image, Image):
            left = self._run_guest(kernel, image, left, vagrant)

    def _missing(self, cell: Cell) -> Unavailable | None:
        """What a cell needs and could not be made."""
        needed = (self.materials.images[cell.kernel], self.materials.trees[cell.build])
        return next((each for each in needed if isinstance(each, Unavailable)), None)

    def _run_guest(
        self, kernel: str, image: Image, cells: Sequence[tuple[Cell, int]], vagrant: Vagrant
    ) -> list[tuple[Cell, int]]:
        """Cells in a new guest. Returns those that are left when it dies: less each time, or tried
        for the last time.
        """
        left = list(cells)
        try:
            with self._started(kernel, image, vagrant) as guest:
                guest.prepare(self._trees([cell for cell, _ in cells]))
                self._run_cells(guest, left)
        except MeasurementError as error:
            for cell, repetition in left:
                console = vagrant.console(kernel)
                self._add(not_measured(cell, repetition, str(error), console))
            left = []
        mine = [entry for entry in self.results.cells if entry["kernel"]["name"] == kernel]
        has_failed = any(entry["error"] for entry in mine)
        keep = self.how.keep
        if not left and (keep is Keep.ALWAYS or (keep is Keep.FAILED and has_failed)):
            runs.keep(vagrant.folder)
        else:
            self._end(kernel, vagrant)
        return left

    def _run_cells(self, guest: Guest, left: list[tuple[Cell, int]]) -> None:
        """Take cell by cell off `left`, as long as the guest lives.

        An emulated guest may die by chance, so that the cell in which it does is left the first
        time, to be tried in another guest.
        """
        is_alive = True
        while left and is_alive:
            result = self._run_cell(guest, *left[0])
            is_alive = result.entry["verdict"] != "error" or guest.is_alive()
            if is_alive or left[0] in self._fatal:
                left.pop(0)
                self._add(result)
            else:
                self._fatal.add(left[0])
                self.say(f"{left[0][0].id}: {result.entry['error']}; once more")

    def _run_cell(self, guest: Guest, cell: Cell, repetition: int) -> Result:
        tree = self.materials.trees[cell.build]
        assert isinstance(tree, Tree)
        order = Order(
            build=cell.build,
            setting=self.plan.matrix.settings[cell.setting],
            scenario=self.plan.scenarios[cell.scenario],
            method=cell.method,
            probe_interval=self.how.probe_interval,
        )
        result = run_cell(guest, cell, repetition, order, tree.version)
        if (result.entry["quality"] or {}).get("verdict") in ("starved", "heavy"):
            # That may have been a moment of a busy host.
            self.say(f"{cell.id}: {result.entry['error']}; once more")
            result = run_cell(guest, cell, repetition, order, tree.version)
        return result

    def _started(self, kernel: str, image: Image, vagrant: Vagrant) -> Guest:
        """A guest, at the second try if need be: an emulated one may fail to boot by chance."""
        self.say(f"Linux {kernel}: starting {image.kit.release}")
        try:
            return guests.start(kernel, image.kit, self.materials.keys, vagrant)
        except MeasurementError as error:
            self.say(f"Linux {kernel}: {error}\nLinux {kernel}: starting it once more")
            vagrant.destroy(vm_name=kernel)
            return guests.start(kernel, image.kit, self.materials.keys, vagrant)

    def _trees(self, cells: Sequence[Cell]) -> dict[str, Tree]:
        trees = {cell.build: self.materials.trees[cell.build] for cell in cells}
        return {name: tree for name, tree in trees.items() if isinstance(tree, Tree)}

    def _end(self, kernel: str, vagrant: Vagrant) -> None:
        try:
            vagrant.destroy(vm_name=kernel)
        except MeasurementError as error:
            # The end of the run ends what is left.
            self.say(f"Linux {kernel}: {error}")

    def _add(self, result: Result) -> None:
        self.results.add(result)
        entry = result.entry
        done = f"[{len(self.results.cells)}/{self.planned}]"
        self.say(f"{done} {entry['id']}: {entry['verdict']} ({entry['seconds']:.1f} s)")
