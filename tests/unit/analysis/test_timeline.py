"""Timelines: the arithmetic on owners and lateness."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.timeline import Holding, cut, holdings, percentile, phases, read
from tests.factories.evidence import (
    A44,
    AT,
    LABELS,
    MASTER,
    NEW,
    OLD,
    STRANGER,
    UNTIL,
    evidence,
    held,
    listener,
    reload,
)


def owners(listeners: Sequence[dict[str, object]]) -> list[Holding]:
    timeline = read(evidence(listeners=listeners))
    return cut(holdings(timeline, timeline.reloads[0], A44), AT, UNTIL)


def test_owners_are_named_as_the_reload_has_it_and_gaps_are_nobodys() -> None:
    assert owners(
        [
            listener(A44, 0.3, 1.5, OLD),
            listener(A44, 2.0, 3.0, MASTER, queue=7),
            listener(A44, 3.05, 4.0, NEW),
            listener(A44, 4.5, 6.0, STRANGER),
        ]
    ) == [
        Holding(A44, "old worker", OLD, AT, 1.5, 0),
        Holding(A44, None, None, 1.5, 2.0, 0),
        Holding(A44, "master", MASTER, 2.0, 3.0, 7),
        Holding(A44, "new worker", NEW, 3.05, 4.0, 0),
        Holding(A44, None, None, 4.0, 4.5, 0),
        Holding(A44, "stranger", STRANGER, 4.5, UNTIL, 0),
    ]


def test_a_socket_that_is_handed_over_is_each_processs_for_its_own_time() -> None:
    found = owners(
        [
            listener(A44, 0.3, 1.5, OLD),
            listener(A44, 1.55, 2.0, OLD, NEW, queue=3),
            listener(A44, 2.05, 6.0, NEW),
        ]
    )
    assert found == [
        Holding(A44, "old worker", OLD, AT, 2.0, 3),
        Holding(A44, "new worker", NEW, 1.55, UNTIL, 3),
    ]


def test_a_process_that_is_not_haproxys_is_a_stranger() -> None:
    assert [each.owner for each in owners([listener(A44, 0.0, 6.0, 9999)])] == ["stranger"]


def test_a_socket_of_which_no_holder_was_found_is_no_gap() -> None:
    assert owners([listener(A44, 0.0, 6.0)]) == []


def test_an_address_that_never_had_a_listener_is_one_gap() -> None:
    other = listener(LABELS[2], 0.0, 6.0, OLD)
    assert owners([other]) == [Holding(A44, None, None, AT, UNTIL, 0)]


def test_what_the_last_sample_saw_held_is_not_let_go_after_it() -> None:
    listeners = [listener(A44, 0.3, UNTIL - 0.3, OLD), listener(LABELS[2], 0.3, 3.0, OLD)]
    seen = [{"pid": OLD, "kind": "worker", "start": 0.0, "end": UNTIL - 0.3}]
    timeline = read(evidence(listeners=listeners, processes=seen))
    [reload] = timeline.reloads
    assert [each.owner for each in holdings(timeline, reload, A44)] == ["old worker"]
    [_, gap] = holdings(timeline, reload, LABELS[2])
    assert (gap.owner, gap.start, gap.end) == (None, 3.0, UNTIL)


def test_without_any_listener_nothing_is_said() -> None:
    assert owners([]) == []


@given(st.lists(st.tuples(st.integers(0, 119), st.integers(0, 30), st.sampled_from([OLD, MASTER]))))
def test_a_sample_time_is_in_a_gap_exactly_if_no_listener_was_seen_then(
    spans: list[tuple[int, int, int]],
) -> None:
    seen = [(start, min(start + length, 120), pid) for start, length, pid in spans]
    listeners = [listener(A44, start / 20, end / 20, pid) for start, end, pid in seen]
    listeners.append(listener(LABELS[2], 0.0, 6.0, OLD))
    gaps = [each for each in owners(listeners) if each.owner is None]
    for sample in range(25, 104):
        at = sample / 20
        is_seen = any(start <= sample <= end for start, end, _ in seen)
        assert is_seen != any(each.start < at < each.end for each in gaps)


def test_phases_leave_out_what_is_shorter_than_the_samples_tell() -> None:
    listeners = held((0.0, 1.24, (OLD,)), (1.25, 2.0, (MASTER,), 9), (3.0, 6.0, (OLD,)))
    timeline = read(evidence(listeners=listeners))
    found = holdings(timeline, timeline.reloads[0], A44)
    named = [(each.owners, each.start, each.end, each.queue) for each in phases(
        timeline, found, AT, 3.02
    )]  # fmt: skip
    assert named == [({"master"}, 1.25, 2.0, 9), ({None}, 2.0, 3.0, 0)]
    assert [each.owners for each in phases(timeline, found, 1.21, 1.24)] == [{"old worker"}]


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_a_percentile_is_the_smallest_that_enough_values_do_not_exceed(values: list[int]) -> None:
    for share in (0.5, 0.99, 1.0):
        found = percentile(values, share)
        assert sum(value <= found for value in values) >= share * len(values)
        assert sum(value < found for value in values) < share * len(values)
    assert percentile(values, 1.0) == max(values)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"probes": [[-1, 0.0, 0.0, 0.0, "ok", None, None]]},
            "probes: 0: 0: expected at least 0, got -1",
        ),
        ({"probes": [[4, 0.0, 0.0, 0.0, "ok", None, None]]}, "probes: an address was asked"),
        (
            {"probes": [[0, 0.0, math.nan, 0.0, "ok", None, None]]},
            "probes: 0: 2: expected a finite number",
        ),
        (
            {"probes": [[0, 0.0, "0", 0.0, "ok", None, None]]},
            "probes: 0: 2: expected a number, got '0'",
        ),
        (
            {"probes": [[0, 0.0, 0.0, 0.0, "fine", None, None]]},
            "probes: 0: 4: expected 'ok', 'refused'",
        ),
        ({"interval": 0.0}, "interval: expected at least 0.001"),
        ({"interval": 1e308}, "interval: expected at most 1000"),
        ({"addresses": [*LABELS, A44]}, "addresses: one comes twice"),
        ({"reloads": [reload(until=AT - 0.1)]}, "reloads: 0: it ends at 1.1"),
        ({"reloads": [reload(), reload()]}, "reloads: their steps are out of order"),
        (
            {"reloads": [reload(reported="maybe")]},
            "reloads: 0: reported: expected 'success' or 'failure'",
        ),
        ({"listeners": [listener(A44, 2.0, 1.0)]}, "listeners: 0: it ends at 1"),
        (
            {"processes": [{"pid": 1, "kind": "x", "start": 0, "end": 1}]},
            "processes: 0: kind: expected 'master'",
        ),
        ({"checks": [{"at": math.nan}]}, "checks: 0: step: this key is missing"),
    ],
)
def test_what_no_guest_has_written_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        read(evidence() | changes)
