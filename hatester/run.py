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
from hatester.vagrant import Vagrant


class Keep(enum.Enum):
    """Which guests go on after a run: those in which a cell could not be measured, all, or none."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Materials:
    """What the cells of a run are made with, by name."""

    images: Mapping[str, Image | Unavailable]
    trees: Mapping[str, Tree | Unavailable]
    keys: Keys


class Run:
    """A plan on its way to results."""

    def __init__(
        self, plan: Plan, materials: Materials, results: Results, keep: Keep, say: Say
    ) -> None:
        self.plan = plan
        self.materials = materials
        self.results = results
        self.keep = keep
        self.say = say

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
        cells = []
        for cell in (cell for cell in self.plan.cells if cell.kernel == kernel):
            tree = self.materials.trees[cell.build]
            if isinstance(image, Unavailable):
                self._add(not_measured(cell, image.reason))
            elif isinstance(tree, Unavailable):
                self._add(not_measured(cell, tree.reason))
            else:
                cells.append(cell)
        while cells and isinstance(image, Image):
            cells = self._run_guest(kernel, image, cells, vagrant)

    def _run_guest(
        self, kernel: str, image: Image, cells: Sequence[Cell], vagrant: Vagrant
    ) -> list[Cell]:
        """Cells in a new guest. Returns those that are left when it dies; one at least is not."""
        left = list(cells)
        failed = False
        try:
            with self._started(kernel, image, vagrant) as guest:
                guest.prepare(self._trees(cells))
                while left:
                    cell = left.pop(0)
                    tree = self.materials.trees[cell.build]
                    assert isinstance(tree, Tree)
                    result = run_cell(guest, self.plan, cell, tree.version)
                    self._add(result)
                    failed |= result.entry["verdict"] == "error"
                    if result.entry["verdict"] == "error" and not guest.is_alive():
                        break
        except MeasurementError as error:
            failed = True
            for cell in left:
                self._add(not_measured(cell, str(error), vagrant.console(kernel)))
            left = []
        wanted = self.keep is Keep.ALWAYS or (self.keep is Keep.FAILED and failed)
        if wanted and not left:
            runs.keep(vagrant.folder)
        else:
            self._end(kernel, vagrant)
        return left

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
        done = f"[{len(self.results.cells)}/{len(self.plan.cells)}]"
        self.say(f"{done} {entry['id']}: {entry['verdict']} ({entry['seconds']:.1f} s)")
