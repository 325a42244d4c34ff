"""Runs of obedient guests: the cells that are measured when some guests are lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hatester.analysis.model import CellResult, Measurement, RunOrigin
from hatester.guests.vagrant import Vagrant
from hatester.matrix.declarations import load_matrix
from hatester.matrix.plan import Cell, Wanted, make_plan
from hatester.results.store import begin
from hatester.runner.cell import not_measured
from hatester.runner.guest_plan import Order
from hatester.runner.guest_protocol import TaintedGuest
from hatester.runner.run import LOSSES, Run, RunOptions
from hatester.util.errors import MeasurementError
from hatester.util.paths import MATRIX
from hatester.util.progress import Progress
from tests.factories.cells import shown

LOST = "the guest was silent"


class Guest:
    """As many of them are lost as there are reasons for it."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.is_lost = False

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def is_fit(self) -> bool:
        return not self.is_lost


Measure = Callable[[Guest, Cell], CellResult]
MATERIALS = SimpleNamespace(
    image=lambda _: None,
    tree=lambda _: SimpleNamespace(version="1"),
    those_of=dict.fromkeys,
    keys=None,
)


@pytest.fixture
def measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[dict[str, Any]], list[str]]]:
    """Return a function that runs cells by `measure`; it returns them and the guests started."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Vagrant, "destroy", lambda *_, **__: None)

    def do(
        measure: Measure,
        kernels: Sequence[str] = ("6.1",),
        start: Callable[[str], None] = print,
        seeds: Sequence[int] = (0,),
        scenarios: Sequence[str] = ("lost-address",),
        shard: str | None = None,
    ) -> tuple[list[dict[str, Any]], list[str]]:
        started: list[str] = []
        trees: list[str] = []

        def start_guest(machine: str) -> Guest:
            start(machine)
            started.append(machine)
            # Cells of other shards count, so that all have the same checkpoint.
            assert trees == plan.builds
            return Guest(machine)

        def make_starter(_: object, there: dict[str, None], *__: object) -> SimpleNamespace:
            trees[:] = there
            return SimpleNamespace(start=start_guest)

        def run_cell(
            guest: Guest, cell: Cell, repetition: int, order: Order, *_: object
        ) -> Measurement:
            changes = {"repetition": repetition, "seed": order.seed}
            return Measurement(measure(guest, cell).model_copy(update=changes))

        monkeypatch.setattr("hatester.runner.run.Starter", make_starter)
        monkeypatch.setattr("hatester.runner.run.run_cell", run_cell)
        plan = make_plan(load_matrix(MATRIX), Wanted(kernels, scenarios=scenarios))
        origin = RunOrigin(shard=shard)
        results = begin(tmp_path / "results", {}, plan.cells, seeds=seeds, origin=origin)
        Run(plan, RunOptions(jobs=1), cast(Any, MATERIALS), results, Progress()).run()
        cells = json.loads(results.file.read_text())["cells"]
        assert len(cells) == len(results.run.tasks)
        return cells, started

    return do


def well(cell: Cell) -> CellResult:
    return shown("ok", id_=cell.id)


def lose(guest: Guest, cell: Cell) -> CellResult:
    guest.is_lost = True
    return not_measured(cell, 1, LOST).cell


def test_each_seed_has_a_guest_of_its_own_and_its_cells_carry_it(measured: Any) -> None:
    cells, started = measured(lambda _, cell: well(cell), seeds=(4, 9))
    assert {(cell["repetition"], cell["seed"]) for cell in cells} == {(1, 4), (2, 9)}
    assert len(started) == 2


def test_shards_measure_the_batches_of_the_plan(measured: Any) -> None:
    def orders(**flags: Any) -> list[list[str]]:
        """Return the cells of each guest, in the order in which it measured them."""
        guests: dict[Guest, list[str]] = {}

        def measure(guest: Guest, cell: Cell) -> CellResult:
            guests.setdefault(guest, []).append(cell.id)
            return well(cell)

        measured(measure, ["5.10", "6.1"], scenarios=["hitless", "lost-address"], **flags)
        return [*guests.values()]

    whole, parts = orders(), [orders(shard=f"{number}/3") for number in (1, 2, 3)]
    assert sorted(itertools.chain(*parts)) == sorted(whole)


def test_a_cell_in_which_a_guest_is_lost_is_measured_once_more_in_another(
    measured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []

    def measure(guest: Guest, cell: Cell) -> CellResult:
        tried.append(cell.id)
        return lose(guest, cell) if len(tried) == 3 else well(cell)

    cells, started = measured(measure)
    assert {cell["verdict"] for cell in cells} == {"ok"}
    assert tried[2] == tried[3]
    assert started == ["6.1", "6.1"]
    assert f"{tried[2]}: {LOST}; once more" in capsys.readouterr().err


def test_a_cell_in_which_guests_are_lost_twice_is_an_error_and_the_others_go_on(
    measured: Any,
) -> None:
    def measure(guest: Guest, cell: Cell) -> CellResult:
        return lose(guest, cell) if cell.id == bad else well(cell)

    bad = "6.1/2.6/plain/lost-address/signal"
    cells, started = measured(measure)
    for cell in cells:
        is_bad = cell["id"] == bad
        assert (cell["verdict"], cell["error"]) == (("error", LOST) if is_bad else ("ok", None))
    assert len(started) == 3


def test_a_kernel_whose_guests_are_lost_again_and_again_is_given_up_and_the_others_go_on(
    measured: Any,
) -> None:
    def measure(guest: Guest, cell: Cell) -> CellResult:
        return lose(guest, cell) if cell.kernel == "6.1" else well(cell)

    cells, started = measured(measure, ["6.1", "5.10"])
    errors = [cell["error"] for cell in cells if cell["id"].startswith("6.1/")]
    # Two cells, each tried twice, and the rest not at all.
    assert errors.count(LOST) == 2
    given_up = f"{LOSSES} guests of this kernel were lost one after another, the last: {LOST}"
    assert errors.count(given_up) == len(errors) - 2 > 0
    assert {cell["verdict"] for cell in cells if cell["id"].startswith("5.10/")} == {"ok"}
    assert started.count("6.1") == LOSSES


def test_a_guest_that_is_not_clean_though_new_is_replaced_and_says_of_what(measured: Any) -> None:
    def measure(guest: Guest, cell: Cell) -> CellResult:
        raise TaintedGuest("interface left: dummy0")

    cells, started = measured(measure)
    assert all("interface left: dummy0" in cell["error"] for cell in cells)
    assert len(started) == LOSSES


@pytest.mark.parametrize("error", [MeasurementError("no boot"), OSError(28, "No space left")])
def test_a_kernel_whose_guests_do_not_start_is_given_up(measured: Any, error: Exception) -> None:
    def start(machine: str) -> None:
        if machine == "6.1":
            raise error

    cells, started = measured(lambda _, cell: well(cell), ["6.1", "5.10"], start)
    for cell in cells:
        assert (cell["verdict"] == "error") is cell["id"].startswith("6.1/")
    assert started == ["5.10"]
