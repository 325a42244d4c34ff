"""The plan: which cells are selected, in which order, and what is said of a wrong name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.errors import UserError
from hatester.matrix import load_matrix
from hatester.paths import MATRIX
from hatester.plan import Wanted, make_plan

DECLARED = load_matrix(MATRIX)


def ids(wanted: Wanted) -> list[str]:
    return [cell.id for cell in make_plan(DECLARED, wanted).cells]


def test_by_default_five_kernels_five_builds_and_two_settings_make_fifty_cells() -> None:
    everything = ids(Wanted())
    assert len(everything) == len(set(everything)) == 50
    assert everything[0] == "5.10/2.2/plain/lost-address/signal"


def test_cells_of_a_kernel_come_together() -> None:
    plan = make_plan(DECLARED, Wanted())
    kernels = [cell.kernel for cell in plan.cells]
    assert kernels == sorted(kernels, key=plan.kernels.index)


def test_flags_select_and_a_name_given_twice_counts_once() -> None:
    assert ids(Wanted(kernels=["6.1", "6.1"], haproxy=["2.2"], settings=["plain"])) == [
        "6.1/2.2/plain/lost-address/signal"
    ]


def test_patterns_include_and_exclude() -> None:
    wanted = Wanted(only=["6.1/*", "7.3/2.2/*"], skip=["*/nonlocal-bind/*", "6.1/3.*"])
    assert ids(wanted) == [
        "6.1/2.2/plain/lost-address/signal",
        "6.1/2.6/plain/lost-address/signal",
        "7.3/2.2/plain/lost-address/signal",
    ]


@given(st.sets(st.sampled_from(ids(Wanted())), min_size=1))
def test_an_id_selects_the_cell_that_it_names(some: set[str]) -> None:
    assert set(ids(Wanted(only=sorted(some)))) == some


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted(kernels=["6.2"]), "--kernel: there is no '6.2'; did you mean "),
        (Wanted(haproxy=["9"]), r"--haproxy: there is no '9' \(there are: 2.2, 2.6, 3.0, 3.2, 3.4"),
        (Wanted(settings=["plian"]), "--setting: there is no 'plian'; did you mean plain"),
        (Wanted(scenarios=["x"]), r"--scenario: there is no 'x' \(there are: lost-address"),
        (Wanted(methods=["sig"]), "--method: there is no 'sig'; did you mean signal"),
        (Wanted(only=["9/*"]), r"--only: '9/\*' matches none of the 50 selected cells, such as 5"),
        (Wanted(skip=["9/*"]), r"--skip: '9/\*' matches none"),
        (Wanted(skip=["*"]), "No cell is left"),
    ],
)
def test_a_wrong_name_is_told_with_the_choices(wanted: Wanted, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_plan(DECLARED, wanted)
