"""Comparisons of two runs: changes, noise, and their text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.comparison import Change, ChangeKind, compare, text
from hatester.analysis.model import CellResult
from tests.factories.cells import ID, shown, unmeasured_cell
from tests.factories.evidence import A44

GOLDEN = Path(__file__).parents[1] / "resources/compare.txt"
Cells = list[CellResult]
SILENT = shown("down", silent=True)
OK = shown("ok")
SLOW = OK.model_copy(update={"reloads": (OK.reloads[0].model_copy(update={"slow": (A44,)}),)})


def kind(before: Sequence[Any], after: Sequence[Any]) -> ChangeKind:
    """Return the kind of the one cell that these are repetitions of."""
    [change] = compare(before, after).cells
    return change.kind


def lossy(*lost: int, probes: int = 1000) -> Cells:
    return [shown("lossy" if each else "ok", lost=each, probes=probes) for each in lost]


def outages(*seconds: float, lateness: float = 0.0) -> Cells:
    return [
        shown("outage", seconds=each, lost=int(each * 50), lateness=lateness) for each in seconds
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([shown("ok")], outages(2.0), ChangeKind.WORSE),
        (outages(2.0), [shown("down")], ChangeKind.WORSE),
        ([shown("down")], [SILENT], ChangeKind.WORSE),
        ([SILENT], [shown("down")], ChangeKind.BETTER),
        ([shown("down")], outages(2.0), ChangeKind.BETTER),
        ([SILENT], [SILENT], ChangeKind.SAME),
        ([shown("ok")], [SLOW], ChangeKind.WORSE),
        ([shown("ok"), SLOW], [SLOW], ChangeKind.SAME),
        ([SLOW], lossy(1), ChangeKind.BETTER),
        ([SLOW], lossy(100), ChangeKind.WORSE),
        ([shown("ok")], [shown("ok"), shown("ok"), SILENT], ChangeKind.WORSE),
        ([shown("ok"), SILENT], [SILENT], ChangeKind.SAME),
        ([shown("ok"), SILENT], [shown("ok")], ChangeKind.SAME),
        ([shown("ok"), SILENT], outages(2.0), ChangeKind.SAME),
        ([*outages(2.0), SILENT], lossy(1), ChangeKind.BETTER),
        ([shown("ok"), unmeasured_cell()], [unmeasured_cell(), shown("ok")], ChangeKind.SAME),
        ([shown("ok")], [unmeasured_cell()], ChangeKind.LOST),
        ([unmeasured_cell()], [SILENT], ChangeKind.GAINED),
        ([unmeasured_cell()], [unmeasured_cell()], ChangeKind.NEVER),
        ([], [unmeasured_cell()], ChangeKind.APPEARED),
        ([SILENT], [], ChangeKind.DISAPPEARED),
    ],
)
def test_a_cell_is_compared_by_the_outcomes_that_its_repetitions_show(
    before: Cells, after: Cells, expected: ChangeKind
) -> None:
    assert kind(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (lossy(0), lossy(1, probes=2000), ChangeKind.SAME),
        (lossy(0), lossy(6), ChangeKind.SAME),
        (lossy(0), lossy(7), ChangeKind.WORSE),
        (lossy(1), lossy(9), ChangeKind.SAME),
        (lossy(1), lossy(10), ChangeKind.WORSE),
        (lossy(30), lossy(0), ChangeKind.BETTER),
        # Twice as many lost of twice as many probes.
        (lossy(30), lossy(60, probes=2000), ChangeKind.SAME),
        # The repetitions together show what one of them would not.
        (lossy(0, 0), lossy(4, 4), ChangeKind.WORSE),
        (lossy(0, 0, 0, 30), lossy(30, 0, 0, 0), ChangeKind.SAME),
        # As many as would overflow what is not a whole number.
        (lossy(400), lossy(600, probes=2000), ChangeKind.BETTER),
        ([shown(probes=0)], [shown(probes=0)], ChangeKind.SAME),
    ],
)
def test_lost_connections_are_a_change_when_they_are_more_than_chance(
    before: Cells, after: Cells, expected: ChangeKind
) -> None:
    assert kind(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # Beyond 4 gaps of 20 ms and a quarter of 2 s.
        (outages(2.0), outages(2.57), ChangeKind.SAME),
        (outages(2.0), outages(2.59), ChangeKind.WORSE),
        (outages(2.59), outages(2.0), ChangeKind.BETTER),
        # A prober that was late knows less well when an outage began and ended.
        (outages(2.0), outages(2.59, lateness=0.1), ChangeKind.SAME),
        (outages(2.0, lateness=0.1), outages(2.8, lateness=0.1), ChangeKind.SAME),
        # Repetitions that lie apart show how much they vary, when there are enough.
        (outages(*[2.0] * 4), outages(*[2.09] * 4), ChangeKind.SAME),
        (outages(*[2.0] * 4), outages(*[2.09] * 5), ChangeKind.WORSE),
        (outages(*[2.0] * 5), outages(*[2.07] * 5), ChangeKind.SAME),
        (outages(*[2.0] * 4, 2.3), outages(*[2.2] * 5), ChangeKind.SAME),
        # Those without an outage have no length.
        ([shown("ok"), *outages(2.0)], [shown("ok"), *outages(4.0)], ChangeKind.WORSE),
    ],
)
def test_outages_last_longer_when_all_do_beyond_what_is_uncertain(
    before: Cells, after: Cells, expected: ChangeKind
) -> None:
    assert kind(before, after) == expected


@pytest.mark.parametrize(
    ("seconds", "lost", "expected"),
    [(0.08, 3, ChangeKind.SAME), (0.08, 9, ChangeKind.WORSE), (0.09, 3, ChangeKind.WORSE)],
)
def test_an_outage_as_short_as_its_ends_are_uncertain_counts_by_its_lost_connections(
    seconds: float, lost: int, expected: ChangeKind
) -> None:
    assert kind([shown("ok")], [shown("outage", seconds=seconds, lost=lost)]) == expected


REPETITIONS = st.one_of(
    st.just(shown("ok")),
    st.builds(
        lambda lost, probes: shown("lossy", lost=lost, probes=probes),
        st.integers(1, 50),
        st.integers(50, 3000),
    ),
    st.builds(
        lambda seconds, lateness: shown("outage", seconds=seconds, lost=40, lateness=lateness),
        st.floats(0.04, 9),
        st.floats(0, 0.4),
    ),
    st.just(shown("down")),
    st.just(SILENT),
    st.just(unmeasured_cell()),
)
RUNS = st.lists(REPETITIONS, min_size=1, max_size=6)
MIRRORED = {
    ChangeKind.WORSE: ChangeKind.BETTER,
    ChangeKind.BETTER: ChangeKind.WORSE,
    ChangeKind.LOST: ChangeKind.GAINED,
    ChangeKind.GAINED: ChangeKind.LOST,
}


@given(RUNS)
def test_a_run_is_the_same_as_itself(run: Cells) -> None:
    assert kind(run, run) in {ChangeKind.SAME, ChangeKind.NEVER}


@given(REPETITIONS, REPETITIONS)
def test_single_measurements_are_worse_one_way_and_better_the_other(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    there, back = kind([one], [other]), kind([other], [one])
    assert back == MIRRORED.get(there, there)


@given(RUNS, RUNS)
def test_what_got_better_would_be_worse_the_other_way(before: Cells, after: Cells) -> None:
    if kind(before, after) == ChangeKind.BETTER:
        assert kind(after, before) == ChangeKind.WORSE


ORDER = [ChangeKind.BETTER, ChangeKind.SAME, ChangeKind.WORSE]
HARMS: dict[str, tuple[Callable[..., Cells], st.SearchStrategy[Any]]] = {
    "lost": (lossy, st.integers(0, 60)),
    "seconds": (outages, st.floats(0.5, 9)),
}


@pytest.mark.parametrize("harm", HARMS)
@given(st.data())
def test_more_harm_never_makes_it_better(harm: str, data: st.DataObject) -> None:
    make, amounts = HARMS[harm]
    before = data.draw(st.lists(amounts, min_size=1, max_size=6))
    after = data.draw(st.lists(amounts, min_size=1, max_size=6))
    more = [each + data.draw(amounts) for each in after]
    found = [kind(make(*before), make(*each)) for each in (after, more)]
    assert ORDER.index(found[0]) <= ORDER.index(found[1])


def id_of(kernel: str, build: str = "2.2", scenario: str = "lost-address") -> str:
    return f"{kernel}/{build}/plain/{scenario}/signal"


BEFORE = [
    shown(id_=id_of("5.10")),
    shown("outage", seconds=2.4, lost=120, id_=id_of("6.1")),
    shown("down", silent=True, id_=id_of("6.1", "3.0")),
    shown("lossy", lost=1, id_=id_of("6.1", scenario="hitless")),
    shown(id_=id_of("6.1", scenario="hitless"), repetition=2),
    shown(id_=id_of("6.12")),
    unmeasured_cell(id_=id_of("6.12", "3.0")),
    unmeasured_cell(id_=id_of("6.12", "3.2")),
    *(shown(id_=id_of("7.2", f"2.{number}")) for number in range(4)),
]
NEWER = "6.1.0-50-cloud-amd64"
AFTER = [
    shown(id_=id_of("5.10"), accelerator="kvm"),
    shown("down", lost=400, id_=id_of("6.1"), release=NEWER, lateness=0.03),
    shown(id_=id_of("6.1", "3.0"), release=NEWER),
    shown("lossy", lost=30, id_=id_of("6.1", scenario="hitless"), release=NEWER),
    shown(id_=id_of("6.1", scenario="hitless"), repetition=2, release=NEWER),
    unmeasured_cell("the mirror has no suite trixie", id_=id_of("6.12")),
    shown(id_=id_of("6.12", "3.0")),
    unmeasured_cell(id_=id_of("6.12", "3.2")),
    shown("down", id_=id_of("7.3")),
]


def test_a_comparison_is_reported_as_in_the_golden_file() -> None:
    assert f"{text(compare(BEFORE, AFTER))}\n" == GOLDEN.read_text()


def test_where_nothing_changed_there_is_the_summary_alone() -> None:
    assert text(compare(BEFORE[:2], BEFORE[:2])) == (
        "0 cells got worse, 0 better, 2 are the same within the noise"
    )


def test_the_cells_of_a_fate_keep_their_repetitions() -> None:
    before, after = lossy(0, 1), lossy(40)
    assert compare(before, after).of(ChangeKind.WORSE) == [
        Change(ID, ChangeKind.WORSE, before, after)
    ]


def test_what_only_one_run_has_is_no_other_condition() -> None:
    assert not compare([shown(release="6.1.1")], [unmeasured_cell()]).conditions
    assert compare([shown(), shown(interval=0.05)], [shown()]).conditions == {
        "probe interval": ("0.02 s, 0.05 s", "0.02 s")
    }


def test_runs_on_different_clocks_are_said_to_be_so() -> None:
    real, virtual = (
        shown("outage", seconds=2.4),
        shown("outage", seconds=2.0, clock="virtual", cpus=1),
    )
    compared = compare([real], [virtual])
    assert compared.conditions == {
        "clock": ("real", "virtual"), "processors of a guest": ("2", "1"),
    }  # fmt: skip
    assert "The two runs have different clocks" in text(compared)
    assert "different clocks" not in text(compare([real], [real.model_copy(update={"cpus": 1})]))


def test_the_sign_in_a_version_needs_no_legend() -> None:
    changes_ = text(compare([shown(release="7.3~rc1")], [shown(release="7.3~rc2")]))
    assert "7.3~rc1 → 7.3~rc2" in changes_
    assert "late" not in changes_
