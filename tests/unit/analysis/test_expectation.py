"""Expectations: what is read as one, what is said of what is none, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.expectation import Expectation, load
from hatester.analysis.outcomes import OUTCOMES
from hatester.matrix.declarations import load_matrix
from hatester.matrix.plan import Wanted, make_plan
from hatester.results.store import find
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from tests.factories.cells import shown, stored, unmeasured_cell

PLANNED = [
    "6.1/2.2/plain/address-returns/signal",
    "6.1/3.0/plain/address-returns/signal",
    "6.1/3.0/nonlocal-bind/lost-address/signal",
    "6.1/3.0/plain/hitless/signal",
]
PATTERNS = """
"*/*/nonlocal-bind/*": [ok, lossy]
"*/2.2/plain/address-returns/*": ok
"*/plain/address-returns/*": silent
"""


NOTHING = (
    "{file}: *: expected an outcome (ok, unasked, lossy, outage, down, silent) or a list of some, "
    "got nothing."
)


def loaded(parent: Path, given: str) -> Expectation:
    return load(given, PLANNED, lambda run: find(parent, run).cells)


def written(folder: Path, content: str) -> str:
    file = folder / "expected.yml"
    file.write_text(content)
    return str(file)


def test_the_first_pattern_that_matches_a_cell_decides(tmp_path: Path) -> None:
    expectation = loaded(tmp_path, written(tmp_path, PATTERNS))
    assert [expectation.outcomes.get(id_) for id_ in PLANNED] == [
        ("ok",),
        ("silent",),
        ("ok", "lossy"),
        None,
    ]


def test_the_shipped_expectation_has_an_outcome_for_each_cell_of_the_default_matrix() -> None:
    planned = [cell.id for cell in make_plan(load_matrix(MATRIX), Wanted()).cells]
    expectation = load(str(MATRIX / "expectations/default.yml"), planned, lambda _run: [])
    assert sorted(expectation.outcomes) == sorted(planned)
    assert set(expectation.outcomes.values()) == {
        ("ok",),
        ("ok", "lossy"),
        ("outage",),
        ("silent",),
    }


def test_a_file_of_patterns_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("'*': down")
    assert loaded(tmp_path, str(file)).outcomes[PLANNED[0]] == ("down",)


def test_a_stored_run_expects_every_outcome_that_a_cell_shows(tmp_path: Path) -> None:
    folder = stored(
        tmp_path,
        shown("down", silent=True, id_=PLANNED[0]),
        shown("ok", id_=PLANNED[0], repetition=2),
        shown("down", id_=PLANNED[1]),
        unmeasured_cell(id_=PLANNED[2]),
        shown("ok", id_="9/2.2/plain/hitless/signal"),
    ).folder
    for name in ("latest", folder.name, str(folder), str(folder / "run.json")):
        assert loaded(tmp_path, name).outcomes == {
            PLANNED[0]: ("ok", "silent"),
            PLANNED[1]: ("down",),
        }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "'*/plain/*': [ok, lossi]",
            "{file}: */plain/*: there is no 'lossi'; did you mean lossy? "
            "(there are: ok, unasked, lossy, outage, down, silent).",
        ),
        (
            "'*': error",
            "{file}: *: there is no 'error' (there are: ok, unasked, lossy, outage, down, silent).",
        ),
        ("", "{file}: expected patterns over cell ids with outcomes, got nothing."),
        ("[ok]", "{file}: expected patterns over cell ids with outcomes, got ['ok']."),
        ("'*':", NOTHING),
        ("'*': []", NOTHING),
        ("'*': [[ok]]", "{file}: *: 0: expected text, got ['ok']."),
        ("'*': ok\n'*': down", "{file}, line 2: '*' comes twice."),
        (
            "'*/2.4/*': ok\n'9/*': ok",
            "{file}: nothing there matches any of the 4 cells to be run, such as "
            "6.1/2.2/plain/address-returns/signal.",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(UserError) as raised:
        loaded(tmp_path, file)
    assert str(raised.value) == sentence.format(file=file)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    stored(tmp_path, shown(id_=PLANNED[0]))
    with pytest.raises(UserError, match=r"there is no 'lastest'; did you mean latest\?"):
        loaded(tmp_path, "lastest")
    with pytest.raises(UserError, match=r"missing\.yml cannot be read: No such file"):
        loaded(tmp_path, str(tmp_path / "missing.yml"))


def test_a_run_of_other_cells_expects_nothing(tmp_path: Path) -> None:
    stored(tmp_path, unmeasured_cell(id_=PLANNED[0]), shown(id_="9/2.2/plain/hitless/signal"))
    with pytest.raises(UserError, match=r"^latest: nothing there matches any of the 4 cells"):
        loaded(tmp_path, "latest")


OUTCOMES_BY_ID: Mapping[str, tuple[str, ...]] = {PLANNED[0]: ("ok", "lossy"), PLANNED[1]: ("down",)}


def test_differences_are_reported_with_their_reasons() -> None:
    differences = Expectation(OUTCOMES_BY_ID, {}).differences(
        [
            shown("outage", seconds=2.0, id_=PLANNED[0]),
            shown("lossy", lost=1, id_=PLANNED[0], repetition=2),
            shown("down", id_=PLANNED[1]),
            shown("down", id_=PLANNED[2]),
            unmeasured_cell(id_=PLANNED[1]),
            shown("down", silent=True, id_=PLANNED[1], repetition=2),
        ]
    )
    assert differences == (
        "not as expected: 6.1/2.2/plain/address-returns/signal is outage, not ok or lossy\n"
        "  because it is outage\n"
        "not as expected: 6.1/3.0/plain/address-returns/signal (repetition 2) is silent, not down\n"
        "  because it is down"
    )


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, unique=True), st.sampled_from(OUTCOMES))
def test_an_outcome_differs_unless_it_is_expected(expected: list[str], found: str) -> None:
    cell = shown("down", silent=True) if found == "silent" else shown(found)
    missed = Expectation({cell.id: tuple(expected)}, {}).missed(cell)
    assert missed == (() if found in expected else tuple(expected))


@pytest.mark.parametrize(("verdict", "lost", "differs"), [("lossy", 3, False), ("lossy", 30, True)])
def test_of_a_stored_run_chance_may_lose_a_connection_and_no_more(
    tmp_path: Path, verdict: str, lost: int, differs: bool
) -> None:
    folder = stored(tmp_path, shown("ok", id_=PLANNED[0])).folder
    expectation = loaded(tmp_path, str(folder))
    assert bool(expectation.missed(shown(verdict, id_=PLANNED[0], lost=lost))) is differs
