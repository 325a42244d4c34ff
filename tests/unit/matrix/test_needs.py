"""The needs of a scenario, and the cells that are left out for them."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.declarations import is_within, load_matrix
from hatester.matrix.plan import Wanted, make_plan
from hatester.matrix.scenario import Needs
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX

NUMBERS = st.tuples(st.integers(0, 9), st.integers(0, 30))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_bounds_are_those_of_a_half_open_interval(
    version: tuple[int, int], first: tuple[int, int], end: tuple[int, int]
) -> None:
    text, *bounds = (".".join(map(str, each)) for each in (version, first, end))
    assert is_within(f"{text}.9-1", f">={bounds[0]}, <{bounds[1]}") is (first <= version < end)
    assert is_within(text, f">={bounds[0]}") is (version >= first)


def test_an_unknown_version_is_within_all_bounds() -> None:
    assert is_within(None, ">=99")
    assert is_within("1.8", None)


@pytest.mark.parametrize("text", ["2.3", ">2.3", ">=", ">=2.3 <3", "<=3", ""])
def test_other_bounds_are_refused(text: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="expected versions such as"):
        Needs.model_validate({"haproxy": text})


def test_cells_without_them_are_left_out_with_the_reason() -> None:
    matrix = load_matrix(MATRIX)
    wanted = Wanted(
        ["6.1"], ["2.2"], ["plain"], ["cli-gone", "master-stopped"], ["signal", "cli", "systemd"]
    )
    plan = make_plan(matrix, wanted)
    assert [cell.id for cell in plan.cells] == [
        "6.1/2.2/plain/cli-gone/cli",
        "6.1/2.2/plain/master-stopped/signal",
    ]
    assert {reason for _, reason in plan.left_out} == {
        "cli-gone is only for cli",
        "master-stopped is only for signal",
    }


def test_an_upgrade_needs_a_pair_of_builds_and_a_pair_an_upgrade() -> None:
    matrix = load_matrix(MATRIX)
    pairs = Wanted(["6.1"], ["2.2", "3.0"], ["plain"], ["upgrade"], upgrade_to=["3.0", "3.4"])
    plan = make_plan(matrix, pairs)
    builds = ["2.2-to-3.0", "2.2-to-3.4", "3.0-to-3.4"]
    assert [cell.build for cell in plan.cells] == builds
    assert {*plan.builds} == {*builds, "3.0", "3.4"}
    assert plan.matrix.builds["2.2-to-3.4"].version == "2.2"
    for wanted, reason in (
        (Wanted(scenarios=["upgrade"]), "upgrade needs a build to which HAProxy is upgraded"),
        (Wanted(upgrade_to=["3.0"]), "lost-address does not upgrade HAProxy"),
        (Wanted(haproxy=["2.2"], upgrade_to=["3.9"]), "--haproxy: there is no '3.9'"),
    ):
        with pytest.raises(UserError, match=reason):
            make_plan(matrix, wanted)


def test_a_declared_pair_names_builds_that_there_are(tmp_path: Path) -> None:
    for file in MATRIX.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text())
    declared = tmp_path / "haproxy.yml"
    declared.write_text(declared.read_text().replace('upgrade_to: "3.2"', "upgrade_to: 3.9"))
    with pytest.raises(UserError, match="upgrade_to: there is no '3"):
        load_matrix(tmp_path)
