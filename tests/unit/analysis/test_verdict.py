"""Verdicts: what evidence makes which."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.model import Judgement
from hatester.analysis.outcomes import SEVERITY
from hatester.analysis.verdict import is_same_version
from provision.guest.connections import OUTCOMES
from tests.factories.evidence import (
    A43,
    A44,
    A45,
    AT,
    LABELS,
    OLD,
    STATS,
    UNTIL,
    everywhere,
    evidence,
    held,
    judge,
    listener,
    reload,
)
from tests.factories.hostile import examples

EXPECTED = LABELS[1:]
FAILURES = [outcome for outcome in OUTCOMES if outcome != "ok"]

windows = st.lists(
    st.tuples(
        st.floats(AT, UNTIL), st.floats(0.0, 3.0), st.sampled_from(FAILURES)
    ).map(lambda each: (each[0], each[0] + each[1], each[2])),
    max_size=3,
)  # fmt: skip
failing = st.fixed_dictionaries(dict.fromkeys(EXPECTED, windows))


@given(
    interval=st.sampled_from([0.02, 0.05]),
    start=st.floats(AT, AT + 1.0),
    length=st.floats(0.101, 2.0),
)
def test_an_outage_is_as_long_as_it_was_to_one_interval_at_either_end(
    interval: float, start: float, length: float
) -> None:
    found = judge(evidence({A45: [(start, start + length, "reset")]}, interval=interval))
    address = found.reloads[0].addresses[A45]
    assert (found.verdict, address.verdict) == ("outage", "outage")
    assert length - 1e-6 <= address.outage_seconds <= length + 2 * interval + 1e-6


@given(failing)
def test_the_arithmetic_holds_whatever_befalls(
    failures: dict[str, list[tuple[float, float, str]]],
) -> None:
    source = evidence(failures, interval=0.05)
    found = judge(source)
    [entry] = found.reloads
    for label in EXPECTED:
        address = entry.addresses[label]
        answered = sum(address.answers.values())
        assert answered + sum(address.failures.values()) == address.probes == 80
        for outage in address.outages:
            assert -0.05 <= outage.start < outage.end <= entry.seconds
        lengths = [outage.end - outage.start for outage in address.outages]
        assert address.outage_seconds == pytest.approx(sum(lengths), abs=1e-5)
        assert bool(address.outages) == (address.verdict in ("outage", "down"))
        assert bool(address.failures) == (address.verdict != "ok")
    verdicts = [entry.addresses[label].verdict for label in EXPECTED]
    assert found.verdict == entry.verdict == max(verdicts, key=SEVERITY.index)
    assert Judgement.model_validate_json(found.to_json()) == found


@given(failing, st.randoms(use_true_random=False))
def test_the_order_of_addresses_and_probes_does_not_matter(
    failures: dict[str, list[tuple[float, float, str]]], chance: random.Random
) -> None:
    source = evidence(failures, interval=0.05)
    other = copy.deepcopy(source)
    chance.shuffle(other["addresses"])
    for probe in other["probes"]:
        probe[0] = other["addresses"].index(source["addresses"][probe[0]])
    chance.shuffle(other["probes"])
    there, here = judge(other), judge(source)
    assert (there.verdict, there.silent, there.quality) == (here.verdict, here.silent, here.quality)
    assert there.reloads[0].addresses == here.reloads[0].addresses


@examples(0.4)
@given(failing)
def test_the_same_evidence_makes_the_same_judgement_and_is_left_as_it_is(
    failures: dict[str, list[tuple[float, float, str]]],
) -> None:
    source = evidence(failures, interval=0.05, listeners=held((0.0, 6.0, (OLD,))))
    before = copy.deepcopy(source)
    assert judge(source) == judge(json.loads(json.dumps(source)))
    assert source == before


@pytest.mark.parametrize(
    ("windows", "name"),
    [
        ([], "ok"),
        ([(2.0, 2.019, "reset")], "lossy"),
        ([(2.0, 2.019, "reset"), (2.5, 2.519, "refused")], "lossy"),
        ([(UNTIL - 0.02, 9.0, "reset")], "lossy"),
        ([(2.0, 2.039, "reset")], "outage"),
        ([(2.0, 2.02, "reset"), (2.02, 2.04, "timeout")], "outage"),
        ([(UNTIL - 0.04, 9.0, "reset")], "down"),
        ([(2.0, 2.1, "reset"), (4.0, 9.0, "refused")], "down"),
        ([(UNTIL, 9.0, "reset")], "ok"),
    ],
)
def test_an_addresss_verdict(windows: list[tuple[float, float, str]], name: str) -> None:
    found = judge(evidence({A44: windows}))
    assert found.verdict == found.reloads[0].addresses[A44].verdict == name
    assert found.reloads[0].addresses[A45].verdict == "ok"


def test_what_a_reload_did_is_told_in_seconds_from_it() -> None:
    source = evidence({A45: [(2.0, 2.5, "reset"), (3.0, 3.3, "refused")]}, takes=0.01)
    [entry] = judge(source).reloads
    assert entry.addresses[A45].model_dump(by_alias=True) == {
        "expected": True,
        "verdict": "outage",
        "outage_seconds": pytest.approx(0.84),
        "first_failure": pytest.approx(0.81),
        "last_failure": pytest.approx(2.09),
        "probes": 200,
        "failures": {"reset": 25, "refused": 15},
        "outages": (
            {"from": pytest.approx(0.79), "to": pytest.approx(1.31), "share": 1.0},
            {"from": pytest.approx(1.79), "to": pytest.approx(2.11), "share": 1.0},
        ),
        "slowest": pytest.approx(0.01),
        "answers": {"without": 160},
        "new": False,
    }
    assert entry.reported_at == pytest.approx(2.05)
    assert entry.seconds == pytest.approx(4.0)


def test_an_address_that_was_taken_away_is_reported_and_does_not_count() -> None:
    found = judge(evidence())
    gone = found.reloads[0].addresses[A43]
    assert found.verdict == "ok"
    assert (gone.expected, gone.verdict, gone.outage_seconds) == (False, None, 0.0)
    assert gone.failures == {"unreachable": 200}


def test_only_what_both_configurations_bind_is_expected() -> None:
    present = [*LABELS]
    [entry] = judge(evidence(reloads=[reload(present=present)])).reloads
    assert not entry.addresses[A43].expected
    source = evidence({A43: []}, reloads=[reload(present=present)], answers=[(0.0, "with")])
    [entry] = judge(source).reloads
    assert entry.addresses[A43].expected


@pytest.mark.parametrize("answer", [None, "something-else"])
def test_without_a_known_answer_what_was_asked_for_last_is_in_service(answer: str | None) -> None:
    found = judge(evidence({A44: [(2.0, 2.5, "reset")]}, answers=[(0.0, answer)]))
    assert found.verdict == "outage"


def test_the_listeners_are_told_in_seconds_from_the_reload_and_cut_to_it() -> None:
    source = evidence(listeners=held((0.0, 2.2, (OLD,), 4), labels=[A44]))
    [entry] = judge(source).reloads
    mine = [each.model_dump(by_alias=True) for each in entry.listeners if each.address == A44]
    assert mine == [
        {"address": A44, "owner": "old worker", "pid": OLD, "from": 0.0, "to": 1.0, "queue": 4},
        {"address": A44, "owner": None, "pid": None, "from": 1.0, "to": 4.0, "queue": 0},
    ]


ANSWERED_BY_NEW = ((0.0, "without"), (3.0, "with"))


@pytest.mark.parametrize(
    ("reported", "answers", "windows", "true"),
    [
        ("success", ANSWERED_BY_NEW, [], True),
        ("success", ((0.0, "without"),), [], False),
        ("success", ANSWERED_BY_NEW, [(4.0, 9.0, "refused")], False),
        ("success", ANSWERED_BY_NEW, [(UNTIL - 0.02, 9.0, "refused")], True),
        ("failure", ((0.0, "without"),), [], True),
        ("failure", ANSWERED_BY_NEW, [], False),
        (None, ANSWERED_BY_NEW, [], None),
        ("success", ((0.0, None),), [], None),
    ],
)
def test_whether_haproxys_word_was_true(
    reported: str | None, answers: Any, windows: Any, true: bool | None
) -> None:
    source = evidence({A44: windows}, answers=answers, reloads=[reload(reported=reported)])
    assert judge(source).reloads[0].is_true is true


def test_a_failure_is_true_when_both_configurations_are_the_same() -> None:
    assert judge(evidence(reloads=[reload(config="without")])).reloads[0].is_true is True


@pytest.mark.parametrize(
    ("reported", "window", "silent"),
    [
        ("success", (2.0, 9.0, "refused"), True),
        ("failure", (2.0, 9.0, "refused"), False),
        ("success", (2.0, 3.0, "refused"), False),
    ],
)
def test_it_is_silent_when_haproxy_reported_success_over_a_dead_address(
    reported: str, window: tuple[float, float, str], silent: bool
) -> None:
    found = judge(evidence({A44: [window]}, reloads=[reload(reported=reported)]))
    assert found.silent is found.reloads[0].silent is silent


def test_a_cell_is_as_bad_as_its_worst_reload() -> None:
    reloads = [reload(step=4, until=2.5), reload(step=6, at=2.6, until=4.0), reload(step=8, at=4.1)]
    found = judge(evidence({A44: [(2.7, 3.0, "reset"), (4.5, 4.51, "reset")]}, reloads=reloads))
    assert found.verdict == "outage"
    assert [entry.verdict for entry in found.reloads] == ["ok", "outage", "lossy"]


def storm(number: int, length: float) -> list[dict[str, Any]]:
    return [
        reload(
            step=4 + each,
            config=("with", "without")[each % 2],
            at=AT + each * length,
            until=AT + (each + 1) * length,
            reported=None,
            reported_at=None,
            steady=each == number - 1,
        )
        for each in range(number)
    ]


def test_in_a_storm_an_outage_is_as_long_as_it_was_and_no_dead_address() -> None:
    found = judge(evidence({A44: [(1.5, 2.5, "reset")]}, reloads=storm(10, 0.3)))
    assert found.verdict == "outage"
    longest = max(entry.addresses[A44].outage_seconds for entry in found.reloads)
    assert 1.0 <= longest <= 1.04


def test_in_a_storm_an_address_that_never_comes_back_is_down() -> None:
    assert judge(evidence({A44: [(1.5, 9.0, "reset")]}, reloads=storm(10, 0.3))).verdict == "down"


@examples(0.6)
@given(failing, st.integers(1, 12), st.floats(0.001, 0.3))
def test_any_storm_is_judged(
    failures: dict[str, list[tuple[float, float, str]]], number: int, length: float
) -> None:
    listeners = [*held((0.0, 1.3, (OLD,))), listener(STATS, 2.0, 2.0), listener(A44, 3.0, 5.0, 1)]
    found = judge(
        evidence(failures, interval=0.05, reloads=storm(number, length), listeners=listeners)
    )
    assert found.verdict in SEVERITY
    assert len(found.reloads) == number
    assert found.explanation


def test_without_a_reload_nothing_was_measured() -> None:
    found = judge(evidence(reloads=[]))
    assert (found.verdict, found.explanation) == ("error", "no reload was observed")
    assert (found.silent, found.reloads) == (None, ())


def test_what_was_not_well_before_the_reload_is_no_verdict_on_the_reload() -> None:
    found = judge(evidence({A45: [(0.9, 9.0, "refused")], A44: [(0.9, 1.0, "refused")]}))
    assert (found.verdict, found.explanation) == (
        "error",
        "before any reload, 192.168.42.44:80 and 192.168.42.45:80 refused the connection",
    )


def test_what_was_not_well_long_before_the_reload_does_not_matter() -> None:
    assert judge(evidence({A45: [(0.0, AT - 1.01, "refused")]})).verdict == "ok"


@pytest.mark.parametrize("probes", [[], None])
def test_an_expected_address_that_was_never_asked_cannot_be_judged(probes: Any) -> None:
    source = evidence()
    asked = [probe for probe in source["probes"] if source["addresses"][probe[0]] != STATS]
    source["probes"] = asked if probes is None else probes
    found = judge(source)
    assert found.verdict == "error"
    label = STATS if probes is None else A44
    assert found.explanation == f"in the reload of step 6, {label} was never asked"


def test_in_a_reload_shorter_than_two_intervals_an_address_may_be_unasked() -> None:
    source = evidence(reloads=[reload(until=AT + 0.03, steady=False), reload(step=7, at=AT + 0.03)])
    source["probes"] = [probe for probe in source["probes"] if not AT <= probe[2] < AT + 0.03]
    found = judge(source)
    assert (found.verdict, found.reloads[0].addresses[A44].probes) == ("ok", 0)


@pytest.mark.parametrize(("late", "verdict"), [(0.0, "good"), (0.019, "good"), (0.021, "late")])
def test_a_prober_that_slips_by_an_interval_is_late(late: float, verdict: str) -> None:
    quality = judge(evidence(late=late)).quality
    assert quality
    assert quality.model_dump() == {
        "verdict": verdict,
        "lateness_p50": pytest.approx(late),
        "lateness_p99": pytest.approx(late),
        "lateness_max": pytest.approx(late),
        "probes": 1200,
        "interval": 0.02,
        "burden": pytest.approx(0.108, abs=0.001),
    }


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


def test_on_the_virtual_clock_watching_may_take_less_of_the_guest() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, burden=0.3, clock="virtual")).verdict == "outage"
    assert judge(evidence(failures, burden=0.4, clock="real")).verdict == "outage"
    found = judge(evidence(failures, burden=0.4, clock="virtual"))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "heavy")


def test_on_the_virtual_clock_the_host_cannot_keep_the_guest_from_running() -> None:
    found = judge(evidence(everywhere((1.5, 3.0, "timeout")), late=0.6, clock="virtual"))
    assert (found.verdict, found.quality and found.quality.verdict) == ("outage", "late")


def test_the_gap_of_a_racing_reload_is_kept() -> None:
    found = judge(evidence(reloads=[reload(gap=0.037), reload(step=7, at=UNTIL, until=5.9)]))
    assert [each.gap for each in found.reloads] == [0.037, None]


def test_where_watching_took_too_much_of_the_guest_nothing_is_said_of_haproxy() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, burden=0.5)).verdict == "outage"
    found = judge(evidence(failures, burden=0.8))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "heavy")
    assert found.explanation.startswith("watching took 81% of the guest's processors")


def test_where_the_host_kept_the_guest_from_running_nothing_is_said_of_haproxy() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, late=0.4)).verdict == "outage"
    found = judge(evidence(failures, late=0.6))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "starved")
    assert "one probe of a hundred was sent 0.60 s late or more" in found.explanation


def test_a_reload_that_leaves_nothing_to_ask_is_never_ok() -> None:
    alone = reload(present=[], reported="failure")
    found = judge(
        {**evidence(reloads=[alone]), "configurations": {"with": [A43], "without": [A43]}}
    )
    assert (found.verdict, found.silent) == ("unasked", False)
    assert found.reloads[0].verdict == "unasked"
    assert "nothing was left to ask" in found.explanation
    assert "failed" in found.explanation


@pytest.mark.parametrize(
    ("changes", "failures", "verdict"),
    [
        (
            {"reported": "success", "in_the_end": [A43, *EXPECTED]},
            {A43: [(0.0, 9.0, "refused")]},
            "down",
        ),
        (
            {"reported": "success", "in_the_end": [A43, *EXPECTED]},
            {A43: [(0.0, 3.0, "refused")]},
            "ok",
        ),
        ({"reported": "success", "in_the_end": [*EXPECTED]}, {A43: [(0.0, 9.0, "refused")]}, "ok"),
        (
            {"reported": "failure", "in_the_end": [A43, *EXPECTED]},
            {A43: [(0.0, 9.0, "refused")]},
            "ok",
        ),
        (
            {"reported": "success", "in_the_end": [A43, *EXPECTED], "steady": False},
            {A43: [(0.0, 9.0, "refused")]},
            "ok",
        ),
    ],
)
def test_what_a_reload_has_bound_by_its_word_has_to_answer_in_the_end(
    changes: dict[str, Any], failures: dict[str, Any], verdict: str
) -> None:
    found = judge(evidence(failures, reloads=[reload(**changes)]))
    assert found.verdict == verdict
    assert found.silent == (verdict == "down")


def test_a_configuration_is_in_service_from_its_reload_and_not_from_the_step_before() -> None:
    timeline = evidence({A43: [(0.0, AT + 0.1, "refused")]}, reloads=[reload(present=[*LABELS])])
    timeline["steps"].append({"step": 6, "verb": "reload", "what": "with", "at": AT - 0.002})
    assert judge(timeline).verdict == "ok"


def ended(**changes: Any) -> dict[str, Any]:
    return {
        "step": 1, "at": 0.1, "reason": "it is gone", "is_start": True, "missing": [],
    } | changes  # fmt: skip


def test_that_haproxy_does_not_start_without_an_address_is_a_result() -> None:
    alert = "[ALERT] 1/1 (1) : Starting frontend x: cannot bind socket [192.168.42.43:80]"
    timeline = {
        **evidence(reloads=[], log=[(0.1, alert)]),
        "steps": [], "probes": [], "ended": ended(missing=[A43]),
    }  # fmt: skip
    found = judge(timeline)
    assert (found.verdict, found.ended, found.silent) == ("down", "start", False)
    assert (
        "did not start while 192.168.42.43:80 was missing: it could not bind" in found.explanation
    )
    found = judge({**timeline, "ended": ended()})
    assert (found.verdict, found.ended) == ("error", None)


def test_haproxys_end_is_the_result_of_the_reload_before() -> None:
    gone = ended(step=8, is_start=False)
    found = judge({**evidence(), "ended": gone})
    assert (found.verdict, found.ended) == ("down", "later")
    assert "HAProxy had ended before step 8" in found.explanation
