"""Verdicts: what evidence makes which."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.cells import table_line
from tests.factories.evidence import (
    A43,
    A44,
    A45,
    AT,
    LABELS,
    NEW,
    OLD,
    PROCESSES,
    UNTIL,
    evidence,
    held,
    judge,
    reload,
    storm,
)

EXPECTED = LABELS[1:]
ALERT = "[ALERT] 1/1 (1) : Starting frontend x: cannot bind socket [192.168.42.43:80]"
FAILED = {"step": 1, "at": 0.1, "reason": f"status 1: {ALERT}", "missing": ["192.168.42.43:80"]}


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


def test_times_are_seconds_from_the_reload() -> None:
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


def test_removed_address_does_not_count() -> None:
    found = judge(evidence())
    gone = found.reloads[0].addresses[A43]
    assert found.verdict == "ok"
    assert (gone.expected, gone.verdict, gone.outage_seconds) == (False, None, 0.0)
    assert gone.failures == {"unreachable": 200}


def test_expected_is_bound_by_both() -> None:
    present = [*LABELS]
    [entry] = judge(evidence(reloads=[reload(present=present)])).reloads
    assert not entry.addresses[A43].expected
    source = evidence({A43: []}, reloads=[reload(present=present)], answers=[(0.0, "with")])
    [entry] = judge(source).reloads
    assert entry.addresses[A43].expected


@pytest.mark.parametrize("answer", [None, "something-else"])
def test_unknown_answer_counts_as_last_asked(answer: str | None) -> None:
    found = judge(evidence({A44: [(2.0, 2.5, "reset")]}, answers=[(0.0, answer)]))
    assert found.verdict == "outage"


def test_listeners_are_cut_to_the_reload() -> None:
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


def test_failure_over_same_configuration_is_true() -> None:
    assert judge(evidence(reloads=[reload(config="without")])).reloads[0].is_true is True


@pytest.mark.parametrize(
    ("reported", "window", "silent"),
    [
        ("success", (2.0, 9.0, "refused"), True),
        ("failure", (2.0, 9.0, "refused"), False),
        ("success", (2.0, 3.0, "refused"), False),
    ],
)
def test_success_over_dead_address_is_silent(
    reported: str, window: tuple[float, float, str], silent: bool
) -> None:
    found = judge(evidence({A44: [window]}, reloads=[reload(reported=reported)]))
    assert found.silent is found.reloads[0].silent is silent


def test_a_cell_is_as_bad_as_its_worst_reload() -> None:
    reloads = [reload(step=4, until=2.5), reload(step=6, at=2.6, until=4.0), reload(step=8, at=4.1)]
    found = judge(evidence({A44: [(2.7, 3.0, "reset"), (4.5, 4.51, "reset")]}, reloads=reloads))
    assert found.verdict == "outage"
    assert [entry.verdict for entry in found.reloads] == ["ok", "outage", "lossy"]


def test_outage_in_a_storm() -> None:
    found = judge(evidence({A44: [(1.5, 2.5, "reset")]}, reloads=storm(10, 0.3)))
    assert found.verdict == "outage"
    longest = max(entry.addresses[A44].outage_seconds for entry in found.reloads)
    assert 1.0 <= longest <= 1.04


def test_down_in_a_storm() -> None:
    assert judge(evidence({A44: [(1.5, 9.0, "reset")]}, reloads=storm(10, 0.3))).verdict == "down"


def test_the_gap_of_a_racing_reload_is_kept() -> None:
    found = judge(evidence(reloads=[reload(gap=0.037), reload(step=7, at=UNTIL, until=5.9)]))
    assert [each.gap for each in found.reloads] == [0.037, None]


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
def test_bound_by_its_word_answers_in_the_end(
    changes: dict[str, Any], failures: dict[str, Any], verdict: str
) -> None:
    found = judge(evidence(failures, reloads=[reload(**changes)]))
    assert found.verdict == verdict
    assert found.silent == (verdict == "down")


def test_configuration_serves_from_its_reload() -> None:
    timeline = evidence({A43: [(0.0, AT + 0.1, "refused")]}, reloads=[reload(present=[*LABELS])])
    timeline["steps"].append({"step": 6, "verb": "reload", "what": "with", "at": AT - 0.002})
    assert judge(timeline).verdict == "ok"


def ended(**changes: Any) -> dict[str, Any]:
    return {
        "step": 1, "at": 0.1, "reason": "it is gone", "is_start": True, "missing": [],
    } | changes  # fmt: skip


def test_failed_start_is_a_result() -> None:
    timeline = {
        **evidence(reloads=[], log=[(0.1, ALERT)]),
        "steps": [], "probes": [], "ended": ended(missing=[A43]),
    }  # fmt: skip
    found = judge(timeline)
    assert (found.verdict, found.ended, found.silent) == ("down", "start", False)
    assert (
        "did not start while 192.168.42.43:80 was missing: it could not bind" in found.explanation
    )
    found = judge({**timeline, "ended": ended()})
    assert (found.verdict, found.ended) == ("down", "start")


def test_end_is_the_result_of_the_reload_before() -> None:
    gone = ended(step=8, is_start=False)
    found = judge({**evidence(), "ended": gone})
    assert (found.verdict, found.ended) == ("down", "later")
    assert "HAProxy had ended before step 8" in found.explanation


def test_a_start_that_was_allowed_to_fail_stands_beside_the_verdict() -> None:
    found = judge(evidence() | {"failed_starts": [FAILED]})
    assert table_line(found) == "ok, no start"
    assert (
        "in step 1, HAProxy did not start while 192.168.42.43:80 was missing: it could not bind "
        "192.168.42.43:80" in found.explanation
    )


def test_a_story_that_ends_with_failed_starts_is_down() -> None:
    nothing = evidence(reloads=[]) | {"failed_starts": [FAILED]}
    assert table_line(judge(nothing)) == "down, no start"
    gone = ended(is_start=False)
    assert table_line(judge(nothing | {"ended": gone})) == "down, no start"
    # A start after a reload, and a stop.
    last = ended(step=8, reason=ALERT)
    found = judge(evidence() | {"ended": last})
    assert table_line(found) == "down, no start"
    assert (
        "in step 8, HAProxy did not start: it could not bind 192.168.42.43:80" in found.explanation
    )


def test_replies_are_kept_with_their_commands() -> None:
    steps = [{"step": 2, "verb": "ask", "what": "show info", "at": 0.5, "commands": []}]
    replies = [{"step": 2, "at": 0.5, "text": "Name: HAProxy", "exit_code": None, "error": None}]
    timeline = evidence()
    timeline["steps"] = [*timeline["steps"], *steps]
    [reply] = judge(timeline | {"replies": replies}).replies
    assert (reply.step, reply.command, reply.text) == (2, "show info", "Name: HAProxy")


OLD_ONLY = [each for each in PROCESSES if each["pid"] != NEW]


def test_a_reload_without_a_word_and_a_new_process_had_no_effect() -> None:
    reloads = [reload(reported=None)]
    found = judge(evidence(reloads=reloads, processes=OLD_ONLY))
    assert table_line(found) == "ok, no effect"
    assert "the reload had no effect: no process of HAProxy's began (step 6)" in found.explanation
    assert table_line(judge(evidence(reloads=reloads))) == "ok, no word"
    # Without any process, nothing was observed of them.
    strangers = [each for each in PROCESSES if each["kind"] == "stranger"]
    assert table_line(judge(evidence(reloads=reloads, processes=strangers))) == "ok, no word"
    unsettled = [reload(reported=None, steady=False)]
    assert table_line(judge(evidence(reloads=unsettled, processes=OLD_ONLY))) == "ok"


def test_restarts_are_reloads_by_another_verb() -> None:
    [found] = judge(evidence(reloads=[reload(verb="restart", reported="success")])).reloads
    assert found.verb == "restart"
