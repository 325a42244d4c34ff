"""The plan: the combinations of the selected names are the cells that run."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from hatester.matrix.build_spec import with_described, with_pairs
from hatester.matrix.declarations import METHODS, Build, Matrix, Setting, is_within
from hatester.matrix.scenario import Scenario, load_scenario
from hatester.util.errors import UserError
from hatester.util.text import quoted
from hatester.util.validation import require, text_of
from hatester.util.versions import is_older

FLAGS = {
    "kernels": "--kernel",
    "haproxy": "--haproxy",
    "settings": "--setting",
    "scenarios": "--scenario",
    "methods": "--method",
}
"""The flag that replaces an axis of every selection, in the order of a cell's id."""


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


def cell_of(id_: str) -> Cell:
    """Parse the id of a cell. Raises UserError for anything else."""
    names = id_.split("/")
    if len(names) != len(FLAGS) or not all(names):
        raise UserError(
            f"{quoted(id_)} is not a cell's id: kernel/build/setting/scenario/method, such "
            "as 6.1/2.2/plain/lost-address/signal."
        )
    return Cell(*names)


BLANK = "-"
"""Stands for the scenario that a cell does not have yet."""

Task = tuple[Cell, int]
"""A cell, and which repetition of it."""


@dataclass(frozen=True)
class Wanted:
    """The user's selection; an empty axis is as in the matrix file.

    `only` and `skip` are patterns over cell ids, as fnmatch(3) has them without FNM_PATHNAME. With
    `upgrade_to`, each build is one half of a pair.
    """

    kernels: Sequence[str] = ()
    haproxy: Sequence[str] = ()
    settings: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    methods: Sequence[str] = ()
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    upgrade_to: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """The cells in the order in which they run, kernel by kernel, and the scenarios they need.

    `left_out` has what was selected and makes no sense, with the reasons; there is always a cell
    that is not.
    """

    matrix: Matrix
    cells: Sequence[Cell]
    scenarios: Mapping[str, Scenario]
    left_out: Sequence[tuple[Cell, str]]

    @property
    def kernels(self) -> list[str]:
        return list(dict.fromkeys(cell.kernel for cell in self.cells))

    @property
    def builds(self) -> list[str]:
        """Return the builds that cells need: their own, and those to which they are upgraded."""
        found: dict[str, None] = {}
        for cell in self.cells:
            found[cell.build] = None
            upgrades = [self.matrix.builds[cell.build].upgrade_to or ""]
            if scenario := self.scenarios.get(cell.scenario):
                upgrades += [each.build for each in scenario.upgrades]
            found.update(dict.fromkeys(filter(None, upgrades)))
        return list(found)

    def sum_content(self) -> str:
        """Return a SHA-256 of what is done in the cells: settings, scenarios, upgrades.

        Scenarios that are yet to be made do not count. Raises UserError for a file that is gone.
        """
        settings = sorted({cell.setting for cell in self.cells})
        folder = self.matrix.folder / "scenarios"
        content = {
            "settings": {name: self.matrix.settings[name].model_dump() for name in settings},
            "scenarios": {
                name: {**each.files, "scenario.yml": text_of(folder / name / "scenario.yml")}
                for name, each in self.scenarios.items()
            },
            "upgrades": {name: self.matrix.builds[name].upgrade_to for name in self.builds},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def of_kernels(self, names: Collection[str]) -> Plan:
        """Return the same plan with the cells of some kernels only, or of none."""
        return replace(self, cells=[cell for cell in self.cells if cell.kernel in names])


def make_plan(matrix: Matrix, wanted: Wanted) -> Plan:
    """Return the plan of the selected cells, without those that make no sense.

    Its matrix also has the builds that `wanted` describes. Raises UserError for a name that is not
    declared, and if no cell remains.
    """
    matrix, wanted = _with_described_builds(matrix, wanted)
    cells = _pick(_select(matrix, wanted), wanted)
    scenarios = load_scenarios(matrix.folder / "scenarios", cells)
    _require_upgrades(matrix, scenarios)
    return _without_unfit_declared(Plan(matrix, cells, scenarios, []))


def _with_described_builds(matrix: Matrix, wanted: Wanted) -> tuple[Matrix, Wanted]:
    """Return the matrix and the selection with the builds that the flags describe."""
    matrix, haproxy = with_described(matrix, wanted.haproxy)
    if wanted.upgrade_to:
        chosen = haproxy or [name for each in matrix.selections for name in each.haproxy]
        matrix, haproxy = with_pairs(matrix, list(dict.fromkeys(chosen)), wanted.upgrade_to)
    return matrix, replace(wanted, haproxy=haproxy)


def plan_of(
    matrix: Matrix, cells: Sequence[Cell], place: str, scenarios: Path | None = None
) -> Plan:
    """Return the plan of these cells; their scenarios may be in a folder of their own.

    Raises UserError, which begins with `place`, for a name that is not declared.
    """
    folder = scenarios or matrix.folder / "scenarios"
    there = sorted(path.parent.name for path in folder.glob("*/scenario.yml"))
    for cell in cells:
        for axis, name in zip(FLAGS, astuple(cell), strict=True):
            known = there if axis == "scenarios" else matrix.declared[axis]
            require(name, known, f"{place}: {axis}")
    return Plan(matrix, cells, load_scenarios(folder, cells), [])


def load_scenarios(folder: Path, cells: Sequence[Cell]) -> dict[str, Scenario]:
    """Read the scenarios of cells from their folder, and return them by name."""
    names = dict.fromkeys(cell.scenario for cell in cells)
    return {name: load_scenario(folder / name) for name in names}


def _require_upgrades(matrix: Matrix, scenarios: Mapping[str, Scenario]) -> None:
    """Raise UserError for a scenario that upgrades HAProxy to a build that is not declared."""
    for scenario in scenarios.values():
        for each in scenario.upgrades:
            if each.build:
                require(each.build, matrix.builds, f"{scenario.name}: {each.verb}")


def without_scenarios(matrix: Matrix, wanted: Wanted) -> Plan:
    """Return the plan for scenarios that are yet to be made: each cell has a blank for one.

    `only` and `skip` are left for `with_scenarios`. Raises as `make_plan` does.
    """
    matrix, wanted = _with_described_builds(matrix, wanted)
    blank = [each.model_copy(update={"scenarios": (BLANK,)}) for each in matrix.selections]
    cells = _select(replace(matrix, selections=tuple(blank)), replace(wanted, scenarios=()))
    return _without_unfit_declared(Plan(matrix, cells, {}, []))


def with_scenarios(plan: Plan, wanted: Wanted, names: Sequence[str]) -> Plan:
    """Return a plan with its cells for each of these scenarios, less those of `only` and `skip`.

    Raises UserError for a pattern that matches none.
    """
    cells = [replace(cell, scenario=name) for cell in plan.cells for name in names]
    return replace(plan, cells=_pick(cells, wanted))


def _without_unfit_declared(plan: Plan) -> Plan:
    """Return a plan without the cells that make no sense with the declared versions."""
    return without_unfit(
        plan,
        {name: kernel.linux for name, kernel in plan.matrix.kernels.items()},
        {name: build.version for name, build in plan.matrix.builds.items()},
    )


def without_unfit(
    plan: Plan, linux: Mapping[str, str | None], haproxy: Mapping[str, str | None]
) -> Plan:
    """Return a plan without the cells that make no sense with these versions of kernels and builds.

    Raises UserError if no cell remains.
    """
    reasons = {}
    for cell in plan.cells:
        setting, build = plan.matrix.settings[cell.setting], plan.matrix.builds[cell.build]
        versions = linux.get(cell.kernel), haproxy.get(cell.build)
        if reason := unfit(cell, setting, build, *versions) or _unmet(cell, plan, *versions):
            reasons[cell] = reason
    cells = [cell for cell in plan.cells if cell not in reasons]
    if not cells:
        raise UserError(f"No cell is left: {next(iter(reasons.values()))}.")
    return replace(plan, cells=cells, left_out=[*plan.left_out, *reasons.items()])


def unfit(
    cell: Cell, setting: Setting, build: Build, linux: str | None, haproxy: str | None
) -> str | None:
    """Return why a cell makes no sense, as a sentence without its full stop; None if it does.

    `linux` and `haproxy` are the versions of its kernel and build, or None. Each is a prefix (6.1),
    an upstream or package version (1:3.2.26-1+b2), or a release as in `uname -r`
    (6.12.90+deb12-cloud-amd64). An unknown version counts as fitting.
    """
    if cell.method not in setting.methods:
        there = ", ".join(setting.methods)
        return f"{cell.setting} makes no difference by {cell.method}, only by {there}"
    if cell.method == "systemd" and not build.has_unit:
        return f"systemd needs HAProxy's packaged unit, and {cell.build} has none"
    needs = [
        (cell.method, "HAProxy", METHODS[cell.method], cell.build, haproxy),
        (cell.setting, "HAProxy", setting.haproxy, cell.build, haproxy),
        (cell.setting, "Linux", setting.linux, cell.kernel, linux),
    ]
    for what, software, first, name, version in needs:
        if first and version and is_older(version, first):
            return f"{what} needs {software} {first} or later, and {name} is {version}"
    return None


def _unmet(cell: Cell, plan: Plan, linux: str | None, haproxy: str | None) -> str | None:
    """Return why a cell's scenario is not for it, as `unfit` does."""
    if cell.scenario not in plan.scenarios:
        return None
    scenario = plan.scenarios[cell.scenario]
    needs = scenario.needs
    has_pair = plan.matrix.builds[cell.build].upgrade_to is not None
    if has_pair and not scenario.upgrades:
        return f"{cell.scenario} does not upgrade HAProxy"
    if not has_pair and any(not each.build for each in scenario.upgrades):
        return f"{cell.scenario} needs a build to which HAProxy is upgraded (--upgrade-to)"
    if cell.method not in needs.methods:
        return f"{cell.scenario} is only for {', '.join(needs.methods)}"
    for software, bounds, name, version in (
        ("HAProxy", needs.haproxy, cell.build, haproxy),
        ("Linux", needs.linux, cell.kernel, linux),
    ):
        if not is_within(version, bounds):
            return f"{cell.scenario} needs {software} {bounds}, and {name} is {version}"
    return None


def _select(matrix: Matrix, wanted: Wanted) -> list[Cell]:
    """Return the union of the matrix's selections: each cell once, those of a kernel together."""
    given: dict[str, Sequence[str]] = {
        axis: names for axis in FLAGS if (names := getattr(wanted, axis))
    }
    for axis, names in given.items():
        for name in names:
            require(name, matrix.declared[axis], FLAGS[axis])
    cells: dict[Cell, None] = {}
    for selection in matrix.selections:
        axes = {**dict(selection), **given}
        for names in itertools.product(*(dict.fromkeys(axes[axis]) for axis in FLAGS)):
            cells[Cell(*names)] = None
    kernels = list(dict.fromkeys(cell.kernel for cell in cells))
    return sorted(cells, key=lambda cell: kernels.index(cell.kernel))


def _pick(cells: Sequence[Cell], wanted: Wanted) -> list[Cell]:
    """Return the cells that --only and --skip leave. Raises UserError for a useless pattern."""
    for pattern in wanted.only:
        _require_match(pattern, "--only", cells)
    for pattern in wanted.skip:
        _require_match(pattern, "--skip", cells)
    picked = [
        cell
        for cell in cells
        if (not wanted.only or _matches(cell, wanted.only)) and not _matches(cell, wanted.skip)
    ]
    if not picked:
        raise UserError("No cell is left: --skip leaves out everything that is selected.")
    return picked


def _matches(cell: Cell, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(cell.id, pattern) for pattern in patterns)


def _require_match(pattern: str, flag: str, cells: Sequence[Cell]) -> None:
    if not any(_matches(cell, [pattern]) for cell in cells):
        raise UserError(
            f"{flag}: {quoted(pattern)} matches none of the {len(cells)} selected cells, such as "
            f"{cells[0].id}."
        )
