"""Verdicts: what evidence makes which."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.verdict import is_same_version, judge
from provision.guest.connections import OUTCOMES

LABELS = ["192.168.42.44:80", "192.168.42.45:80", "*:81"]


def check(reload: int | None, *outcomes: str, expected: list[str] = LABELS) -> dict[str, Any]:
    return {
        "step": 2,
        "reload": reload,
        "at": 2.01,
        "expected": expected,
        "outcomes": dict(zip(LABELS, outcomes, strict=True)),
    }


GOOD_RELOAD = {"step": 4, "config": "without", "reported": "success"}
GOOD = check(None, "ok", "ok", "ok")


def test_the_original_reports_cell_is_down_and_says_which_address_and_how() -> None:
    found = judge([GOOD, check(4, "ok", "ok", "ok"), check(6, "reset", "ok", "ok")], [GOOD_RELOAD])
    assert found.name == "down"
    assert found.explanation == (
        "2.0 s after the reload of step 6, 192.168.42.44:80 reset the connection"
    )


def test_an_address_that_failed_between_and_answered_again_is_not_passed_over() -> None:
    assert (
        judge(
            [GOOD, check(4, "ok", "refused", "ok"), check(6, "ok", "ok", "ok")], [GOOD_RELOAD]
        ).name
        == "down"
    )


def test_an_address_that_was_taken_away_does_not_count() -> None:
    gone = check(4, "unreachable", "ok", "ok", expected=LABELS[1:])
    assert judge([GOOD, gone], [GOOD_RELOAD]).name == "ok"


def test_what_was_not_well_before_the_reload_is_no_verdict_on_the_reload() -> None:
    found = judge(
        [check(None, "ok", "refused", "ok"), check(4, "ok", "refused", "ok")], [GOOD_RELOAD]
    )
    assert (found.name, found.explanation) == (
        "error",
        "before any reload, 192.168.42.45:80 refused the connection",
    )


def test_a_failed_reload_that_no_check_met_is_told_all_the_same() -> None:
    failed = {"step": 6, "config": "with", "reported": "failure"}
    found = judge([GOOD, check(6, "ok", "ok", "ok")], [GOOD_RELOAD, failed])
    assert found.name == "ok"
    assert found.explanation.endswith("though HAProxy reported that the reload of step 6 failed")


@pytest.mark.parametrize("checks", [[], [GOOD]])
def test_without_a_check_after_a_reload_nothing_was_measured(checks: list[Any]) -> None:
    assert judge(checks, []).name == "error"


@given(st.lists(st.tuples(*[st.sampled_from(OUTCOMES)] * 3), min_size=1, max_size=5))
def test_a_cell_is_ok_only_if_all_that_should_have_answered_did(
    outcomes: list[tuple[str, ...]],
) -> None:
    found = judge([GOOD, *(check(4, *each) for each in outcomes)], [GOOD_RELOAD])
    all_well = all(outcome == "ok" for each in outcomes for outcome in each)
    assert found.name == ("ok" if all_well else "down")


@pytest.mark.parametrize(
    ("said", "package", "same"),
    [
        ("2.2.9-2+deb11u6", "2.2.9-2+deb11u6", True),
        ("3.2.26-1", "1:3.2.26-1+b2", True),
        ("3.2.26-1", "3.2.26-2", False),
        ("2.2.9", "2.2.9-2+deb11u6", False),
    ],
)
def test_haproxys_version_is_compared_with_the_packages(
    said: str, package: str, same: bool
) -> None:
    assert is_same_version(said, package) is same
