"""Which cells run: the combinations of what was selected."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hatester.errors import UserError
from hatester.matrix import METHODS, Matrix, require
from hatester.scenarios import Scenario, load_scenario


@dataclass(frozen=True)
class Cell:
    """One combination; the same string names it, lists it and selects it."""

    kernel: str
    build: str
    setting: str
    scenario: str
    method: str

    @property
    def id(self) -> str:
        return "/".join((self.kernel, self.build, self.setting, self.scenario, self.method))


@dataclass(frozen=True)
class Wanted:
    """What the user selected; what is empty is as in `matrix/default.yml`.

    `only` and `skip` are patterns over cell ids, as fnmatch(3) has them without FNM_PATHNAME.
    """

    kernels: Sequence[str] = ()
    haproxy: Sequence[str] = ()
    settings: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    methods: Sequence[str] = ()
    only: Sequence[str] = ()
    skip: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """The cells in the order in which they run, kernel by kernel, and the scenarios they need."""

    matrix: Matrix
    cells: Sequence[Cell]
    scenarios: Mapping[str, Scenario]

    @property
    def kernels(self) -> list[str]:
        return list(dict.fromkeys(cell.kernel for cell in self.cells))

    @property
    def builds(self) -> list[str]:
        return list(dict.fromkeys(cell.build for cell in self.cells))


def make_plan(matrix: Matrix, wanted: Wanted) -> Plan:
    """The cells that `wanted` selects. Raises UserError for a name that is not declared."""
    default = matrix.default
    axes = {
        "kernel": (wanted.kernels, default.kernels, matrix.kernels),
        "haproxy": (wanted.haproxy, default.haproxy, matrix.builds),
        "setting": (wanted.settings, default.settings, matrix.settings),
        "scenario": (wanted.scenarios, default.scenarios, matrix.scenarios),
        "method": (wanted.methods, default.methods, METHODS),
    }
    chosen = []
    for flag, (names, otherwise, declared) in axes.items():
        for name in names:
            require(name, declared, f"--{flag}")
        chosen.append(dict.fromkeys(names or otherwise))
    cells = [Cell(*names) for names in itertools.product(*chosen)]
    for pattern in wanted.only:
        _require_match(pattern, "--only", cells)
    for pattern in wanted.skip:
        _require_match(pattern, "--skip", cells)
    cells = [
        cell
        for cell in cells
        if (not wanted.only or _matches(cell, wanted.only)) and not _matches(cell, wanted.skip)
    ]
    if not cells:
        raise UserError("No cell is left: what was selected is skipped as well.")
    folder = matrix.folder / "scenarios"
    scenarios = {cell.scenario: load_scenario(folder / cell.scenario) for cell in cells}
    return Plan(matrix, cells, scenarios)


def _matches(cell: Cell, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(cell.id, pattern) for pattern in patterns)


def _require_match(pattern: str, flag: str, cells: Sequence[Cell]) -> None:
    if not any(_matches(cell, [pattern]) for cell in cells):
        example = f", such as {cells[0].id}" if cells else ""
        raise UserError(
            f"{flag}: '{pattern}' matches none of the {len(cells)} selected cells{example}."
        )
