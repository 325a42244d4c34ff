"""Lanes: what became of an address in the whole of a cell."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.timeline import read
from hatester.report.lanes import idle_times, marks, owners, streaks
from provision.guest.protocol import TakenStep
from tests.factories.evidence import (
    A43,
    A44,
    AT,
    MASTER,
    NEW,
    OLD,
    STATS,
    evidence,
    held,
    judge,
    listener,
    reload,
)

START = TakenStep(1, "start", "with", 0.1)


def idle(label: str, *steps: TakenStep) -> list[tuple[float, float]]:
    timeline = replace(read(evidence()), steps=(START, *steps))
    return idle_times(timeline, judge(evidence()).reloads, label)


@given(st.lists(st.sampled_from(["ok", "refused", "reset"]), min_size=1, max_size=60))
def test_streaks_have_every_connection_once_and_leave_no_gap(outcomes: list[str]) -> None:
    made = evidence(labels=[A44])
    made["probes"] = [
        [0, number / 50, number / 50, number / 50, outcome, None, None]
        for number, outcome in enumerate(outcomes)
    ]
    found = streaks(read(made).by_address[A44], 0.02, [])
    assert [run.outcome for run in found for _ in range(run.count)] == outcomes
    assert all(one.outcome != other.outcome for one, other in itertools.pairwise(found))
    assert [run.end for run in found[:-1]] == [run.start for run in found[1:]]


def test_a_streak_ends_where_the_address_is_expected_no_more() -> None:
    found = streaks(read(evidence()).by_address[A44], 0.02, [(2.0, 3.0)])
    assert [(run.is_expected, round(run.start, 1)) for run in found] == [
        (True, 0.0),
        (False, 2.0),
        (True, 3.0),
    ]


def test_what_need_not_answer_in_a_reload_is_idle_from_it_on() -> None:
    assert idle(A44) == [(-math.inf, 0.1)]
    assert idle(A43) == [(-math.inf, 0.1), (AT, math.inf)]


@pytest.mark.parametrize(
    ("what", "label", "is_taken"),
    [
        ("192.168.42.44", A44, True),
        ("192.168.42.44/32", A44, True),
        ("192.168.42.4", A44, False),
        ("dummy0", A44, True),
        ("dummy0", STATS, False),
        ("fd00:42::43", "fd00:42::43:80", True),
    ],
)
def test_what_is_taken_away_is_idle_until_the_next_reload(
    what: str, label: str, is_taken: bool
) -> None:
    made = evidence(labels=[label])
    made["configurations"] = {"with": [label]}
    made["reloads"] = [reload(present=[label])]
    steps = (START, TakenStep(2, "remove", what, 0.6))
    found = idle_times(replace(read(made), steps=steps), [], label)
    assert ((0.6, AT) in found) is is_taken


def test_a_cell_that_was_not_judged_goes_by_its_configurations() -> None:
    timeline = replace(read(evidence()), steps=(START,))
    assert idle_times(timeline, [], A43)[1:] == [(AT, math.inf)]
    assert idle_times(timeline, [], A44)[1:] == []


def test_steps_alike_in_quick_succession_are_one_mark() -> None:
    steps = [START, *(TakenStep(number, "reload", "with", number / 10) for number in (2, 3, 4))]
    far = TakenStep(5, "reload", "with", 2.0)
    other = TakenStep(6, "check", "", 2.05)
    found = marks([*steps, far, other], 0.15)
    assert [(mark.first, mark.last, mark.text) for mark in found] == [
        (1, 1, "start with"),
        (2, 4, "reload with"),
        (5, 5, "reload with"),
        (6, 6, "check"),
    ]


def test_owners_are_reported_in_the_words_of_each_reload() -> None:
    listeners = held((0.0, 1.3, (OLD,)), (1.3, 3.0, (MASTER,)), (3.0, 9.0, (NEW,)))
    second = reload(step=8, at=6.0, until=8.0)
    found = owners(read(evidence(listeners=listeners, reloads=[reload(), second])), A44)
    assert [set(phase.owners) for phase in found] == [
        {"old worker"},
        {"master"},
        {"new worker"},
        {"old worker"},
    ]
    assert [phase.end for phase in found][-2:] == [6.0, 9.0]


def test_nothing_is_reported_of_listeners_after_the_last_sample() -> None:
    listeners = [listener(A44, 0.0, 5.0, OLD)]
    processes = [{"pid": OLD, "kind": "worker", "start": 0.0, "end": 5.0}]
    made = evidence(listeners=listeners, processes=processes, reloads=[reload(until=5.9)])
    assert [phase.end for phase in owners(read(made), A44)] == [5.0]
    assert owners(read(evidence()), A44) == []
