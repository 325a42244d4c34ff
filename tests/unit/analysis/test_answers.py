"""Answers: how long they took, whether a reload slowed them, and which should not come any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.answers import SLOW_SECONDS
from hatester.analysis.model import Judgement
from tests.factories.cells import table_line
from tests.factories.evidence import A44, AT, LABELS, UNTIL, evidence, judge, reload


def slowed(start: float, end: float, seconds: float, **changes: Any) -> Judgement:
    """Return the judgement on a reload where answers of .44 take so long, if due between times."""
    source = evidence(reloads=[reload(reported_at=AT + 2.0)], **changes)
    for probe in source["probes"]:
        if LABELS[probe[0]] == A44 and start <= probe[1] < end:
            probe[3] = probe[2] + seconds
    return judge(source)


def test_latency_is_from_when_a_connection_was_due() -> None:
    [entry] = slowed(3.0, 3.02, 0.1, takes=0.01, late=0.005).reloads
    before, during, after = entry.latency.before, entry.latency.during, entry.latency.after
    assert before
    assert during
    assert after
    assert (before.p50, before.p99, before.most) == pytest.approx((0.015, 0.015, 0.015))
    assert (during.p50, during.p99, during.most) == pytest.approx((0.015, 0.015, 0.105))
    assert after.most == pytest.approx(0.015)
    answers = (before.answers, during.answers, after.answers)
    assert answers == pytest.approx((150, 300, 300), abs=1)


@pytest.mark.parametrize(
    ("start", "seconds", "late", "labels"),
    [
        (3.0, SLOW_SECONDS + 0.01, 0.0, (A44,)),
        (3.0, SLOW_SECONDS - 0.01, 0.0, ()),
        # The prober's own lateness is not HAProxy's.
        (3.0, SLOW_SECONDS + 0.01, 0.01, ()),
        (3.0, SLOW_SECONDS + 0.03, 0.01, (A44,)),
        # Answers that were as slow before are not slowed by the reload.
        (AT - 0.5, 2.0, 0.0, ()),
        (UNTIL, 2.0, 0.0, ()),
    ],
)
def test_reload_is_slow(start: float, seconds: float, late: float, labels: tuple[str, ...]) -> None:
    [entry] = slowed(start, 9.0, seconds, late=late).reloads
    assert (entry.verdict, entry.slow) == ("ok", labels)


@given(late=st.floats(0.0, 0.4), start=st.floats(AT, UNTIL), length=st.floats(0.0, 3.0))
def test_lateness_alone_never_makes_a_reload_slow(late: float, start: float, length: float) -> None:
    source = evidence(late=late)
    for probe in source["probes"]:
        # The prober notices answers as late as it sends probes.
        if start <= probe[1] < start + length:
            probe[3] += late
    assert judge(source).reloads[0].slow == ()


def test_slow_stands_beside_the_verdict() -> None:
    found = slowed(3.0, 3.5, 1.0)
    assert table_line(found) == "ok, slow 1.0 s"
    assert "; the reload of step 6 slowed answers of .44, to 1.00 s, at most 0.00 s before" in (
        found.explanation
    )


def test_storm_is_compared_with_the_time_before_it() -> None:
    storm = [
        reload(step=6, until=2.2, steady=False, reported=None),
        reload(step=7, at=2.2, reported_at=2.3),
    ]
    source = evidence(reloads=storm)
    for probe in source["probes"]:
        if 1.5 <= probe[1] < 3.0:
            probe[3] = probe[2] + 1.0
    assert [bool(each.slow) for each in judge(source).reloads] == [True, True]


def stray(share: int, name: str = "stray", **changes: Any) -> Judgement:
    """Return the judgement on a success where one of so many answers is of another name."""
    success = reload(reported="success", reported_at=AT + 0.1, **changes)
    source = evidence(reloads=[success], answers=[(0.0, "without"), (AT + 0.1, "with")])
    for place, probe in enumerate(source["probes"]):
        if probe[2] > AT and LABELS[probe[0]] == A44 and (place // len(LABELS)) % share == 0:
            probe[6] = name
    return judge(source)


@pytest.mark.parametrize(
    ("share", "word", "how"),
    [(1, "stale", "all"), (2, "stale half", "half of the"), (4, "stale 25%", "25% of the")],
)
def test_other_configuration_that_goes_on_answering_is_stale(
    share: int, word: str, how: str
) -> None:
    found = stray(share)
    assert table_line(found) == f"ok, {word}"
    [entry] = found.reloads
    assert {*entry.stale} == {A44}
    assert entry.stale[A44].share == pytest.approx(1 / share, abs=0.01)
    assert entry.is_true is False
    assert (
        "HAProxy reported success of the reload of step 6, and a second later stray went on to "
        f"give {how} answers of .44"
    ) in found.explanation


@pytest.mark.parametrize("changes", [{"until": AT + 1.1}, {"reported": "failure"}])
def test_old_worker_may_finish_and_a_failed_reload_changes_nothing(changes: Any) -> None:
    success = reload(reported_at=AT + 0.1, **{"reported": "success", **changes})
    answers = [(0.0, "without"), (AT + 1.05, "with")]
    [entry] = judge(evidence(reloads=[success], answers=answers)).reloads
    assert entry.stale == {}


def test_a_single_late_answer_is_not_stale() -> None:
    success = reload(reported="success", reported_at=AT + 0.1)
    source = evidence(reloads=[success], answers=[(0.0, "without"), (AT + 0.1, "with")])
    late = next(probe for probe in source["probes"] if probe[2] > AT + 2 and probe[6])
    late[6] = "without"
    assert judge(source).reloads[0].stale == {}
