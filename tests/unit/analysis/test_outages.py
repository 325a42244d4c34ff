"""Stretches: failures in a row, and failures that come and go."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.outages import ANSWERS, RUNS, Stretch, find_stretches
from hatester.analysis.reload_model import AddressResult
from hatester.analysis.timeline import read
from tests.factories.cells import table_line
from tests.factories.evidence import (
    A44,
    AT,
    LABELS,
    UNTIL,
    Failures,
    everywhere,
    evidence,
    judge,
    reload,
)

OUTCOMES = ["refused", "reset", "timeout", "unreachable", "empty", "wrong"]
INTERVAL = 0.02
_FIRST = 10
"""The probes of an address that are sent in a reload before its pattern begins."""


def judged(pattern: str, *, steady: bool = True, until: float = UNTIL) -> AddressResult:
    """Return the result of an address whose probes end by a pattern of `.` (answered) and `x`."""
    source = evidence(reloads=[reload(steady=steady, until=until)])
    own = [each for each in source["probes"] if LABELS[each[0]] == A44 and each[2] >= AT]
    for sign, probe in zip(pattern, own[_FIRST:], strict=False):
        if sign == "x":
            probe[4], probe[6] = "wrong", None
    return judge(source).reloads[0].addresses[A44]


@pytest.mark.parametrize(
    ("pattern", "verdict", "shares"),
    [
        ("x." * (RUNS - 1), "lossy", []),
        ("x." * RUNS, "outage", [5 / 9]),
        ("x" + ("." * ANSWERS + "x") * (RUNS - 1), "outage", [5 / 41]),
        ("x" + ("." * (ANSWERS + 1) + "x") * 9, "lossy", []),
        ("xx..xx..xx..xx..xx", "outage", [10 / 18]),
        ("xx..xx..xx..xx", "outage", [1, 1, 1, 1]),
        ("xxxx" + "." * (ANSWERS + 1) + "x.x.x.x.x", "outage", [1, 5 / 9]),
        ("x" * 50, "outage", [1]),
        ("xx.x", "outage", [1]),
    ],
)
def test_a_pattern_of_failures(pattern: str, verdict: str, shares: list[float]) -> None:
    found = judged(pattern)
    assert found.verdict == verdict
    assert [each.share for each in found.outages] == pytest.approx(shares)


def stretches(failures: Failures, *reloads: dict[str, Any], **made: Any) -> list[list[Stretch]]:
    """Return the stretches of .44 in each reload."""
    timeline = read(evidence(failures, reloads=reloads or None, **made))
    return [find_stretches(timeline, each, A44) for each in timeline.reloads]


patterns = st.lists(
    st.tuples(st.sampled_from("x."), st.integers(1, 2 * ANSWERS)), max_size=20
).map(lambda runs: "".join(sign * count for sign, count in runs)[:100])  # fmt: skip


@given(patterns)
def test_outages_are_apart_and_have_every_pair_of_failures(pattern: str) -> None:
    found = judged(pattern)
    assert ("xx" in pattern) <= (found.verdict == "outage")
    assert (pattern.count("x") > 0) == (found.verdict != "ok")
    for before, after in itertools.pairwise(found.outages):
        assert before.end <= after.start
    for outage in found.outages:
        assert 0.1 < outage.share <= 1.0
    failed = sum(
        each.share * (round((each.end - each.start) / INTERVAL) - 1) for each in found.outages
    )
    assert failed <= pattern.count("x") + 1e-6
    assert failed >= sum(len(run) for run in pattern.split(".") if len(run) > 1) - 1e-6


@given(patterns, st.integers(RUNS, 15), st.integers(1, ANSWERS))
def test_flicker_is_one_outage_wherever_it_comes(before: str, runs: int, gap: int) -> None:
    flicker = "x" + ("." * gap + "x") * (runs - 1)
    found = judged(before[:40] + "." * (ANSWERS + 1) + flicker[:90])
    assert found.verdict == "outage"
    last = found.outages[-1]
    count = flicker[:90].rstrip(".")
    assert last.share == pytest.approx(count.count("x") / len(count))
    assert last.end - last.start == pytest.approx((len(count) + 1) * INTERVAL)


def test_flicker_that_goes_on_at_the_end_is_down() -> None:
    until = AT + (_FIRST + 20) * INTERVAL
    assert judged("x." * 20, steady=False, until=until).verdict == "down"
    assert judged("x." * 5, steady=False, until=until).verdict == "outage"


def test_a_share_is_in_the_table_and_in_the_explanation() -> None:
    windows = [(at / 100, at / 100 + 0.019, "wrong") for at in range(150, 250, 4)]
    found = judge(evidence(everywhere(*windows), reloads=[reload(reported=None)]))
    assert table_line(found) == "outage 1.0 s half wrong, no word"
    assert found.explanation.startswith(
        "after the reload of step 6, half of the connections to .44, .45 and :81 failed for 1.00 s"
    )


@given(
    interval=st.sampled_from([0.01, 0.02, 0.05]),
    start=st.floats(AT + 0.2, AT + 1.0),
    length=st.floats(0.11, 2.0),
    outcome=st.sampled_from(OUTCOMES),
)
def test_a_stretch_is_right_to_one_interval_at_either_end(
    interval: float, start: float, length: float, outcome: str
) -> None:
    [[found]] = stretches({A44: [(start, start + length, outcome)]}, interval=interval)
    assert start - interval <= found.start <= start + 1e-9
    assert start + length - 1e-9 <= found.end <= start + length + interval
    assert found.is_over


def test_a_stretch_to_the_end_is_not_over_and_ends_with_the_observation() -> None:
    [[found]] = stretches({A44: [(2.0, 9.0, "refused")]})
    assert (found.end, found.is_over) == (UNTIL, False)


def test_an_address_that_failed_already_when_the_reload_was_asked_for_does_from_then_on() -> None:
    [[found]] = stretches({A44: [(AT - 0.1, 2.0, "refused")]})
    assert found.start == AT


def test_the_last_success_before_may_be_just_before_the_reload() -> None:
    [[found]] = stretches({A44: [(AT, 2.0, "refused")]})
    assert AT - INTERVAL <= found.start < AT


def test_single_failures_are_no_stretch() -> None:
    singles = [(at, at + 0.019, "reset") for at in (2.0, 2.5, UNTIL - 0.02)]
    assert stretches({A44: singles}) == [[]]


def test_a_stretch_that_outlasts_an_overtaken_reload_ends_in_the_next() -> None:
    first, last = reload(step=4, until=2.0, steady=False), reload(step=5, at=2.01)
    [before], [after] = stretches({A44: [(1.5, 2.5, "refused")]}, first, last)
    assert before.end == after.end == pytest.approx(2.5, abs=0.02)
    assert before.is_over
    assert after.start == 2.01


def test_a_reload_that_was_observed_to_its_end_is_not_mended_by_the_next() -> None:
    first, last = reload(step=4, until=2.0), reload(step=5, at=2.01)
    [before], _ = stretches({A44: [(1.5, 2.5, "refused")]}, first, last)
    assert (before.end, before.is_over) == (2.0, False)
