"""Ends of reloads beside the verdict: no start, no effect, and what those who asked were given."""

from __future__ import annotations

from typing import Any

import pytest

from hatester.analysis.outcomes import lines
from hatester.analysis.timeline import read
from hatester.analysis.verdict import judge
from tests.factories.cells import cell
from tests.factories.evidence import NEW, OLD, PROCESSES, evidence, reload

ALERT = "[ALERT] 1/1 (1) : Starting frontend x: cannot bind socket [192.168.42.43:80]"
FAILED = {"step": 1, "at": 0.1, "reason": f"status 1: {ALERT}", "missing": ["192.168.42.43:80"]}
OLD_ONLY = [each for each in PROCESSES if each["pid"] != NEW]


def shown(timeline: dict[str, Any]) -> tuple[str, str]:
    """Return the line in a table, and the explanation."""
    found = judge(read(timeline))
    measured = cell("6.1", "3.0", {}).with_judgement(found)
    return lines([measured])[0], found.explanation


@pytest.mark.parametrize(
    ("changes", "note", "sentence"),
    [
        (
            {"refusal": "connect: No such file"},
            "not taken",
            'nobody took the request for the reload: "connect: No such file" (step 6)',
        ),
        (
            {"exit_code": 0},
            "",
            "the command that asked for the reload exited with status 0 all the same (step 6)",
        ),
        (
            {"reported": None, "answer": "Can't connect to the target CLI!\n"},
            "no word",
            'the master CLI answered "Can\'t connect to the target CLI!" (step 6)',
        ),
        (
            {"logged": "success", "answer": "Success=0\n--\n"},
            "",
            "the master CLI answered Success=0, though HAProxy logged success (step 6)",
        ),
    ],
)
def test_what_the_asker_was_given_is_said_where_it_disagrees(
    changes: dict[str, Any], note: str, sentence: str
) -> None:
    line, explanation = shown(evidence(reloads=[reload(**changes)]))
    assert line == ", ".join(filter(None, ["ok", note]))
    assert sentence in explanation


def test_a_reload_without_a_word_and_a_new_process_had_no_effect() -> None:
    reloads = [reload(reported=None)]
    line, explanation = shown(evidence(reloads=reloads, processes=OLD_ONLY))
    assert line == "ok, no effect"
    assert "the reload had no effect: no process of HAProxy's began (step 6)" in explanation
    assert shown(evidence(reloads=reloads))[0] == "ok, no word"
    # Without any process, nothing was observed of them.
    strangers = [each for each in PROCESSES if each["kind"] == "stranger"]
    assert shown(evidence(reloads=reloads, processes=strangers))[0] == "ok, no word"
    unsettled = [reload(reported=None, steady=False)]
    assert shown(evidence(reloads=unsettled, processes=OLD_ONLY))[0] == "ok"


def test_a_start_that_was_allowed_to_fail_stands_beside_the_verdict() -> None:
    line, explanation = shown(evidence() | {"failed_starts": [FAILED]})
    assert line == "ok, no start"
    assert (
        "in step 1, HAProxy did not start while 192.168.42.43:80 was missing: it could not bind "
        "192.168.42.43:80" in explanation
    )


def test_a_story_that_ends_with_failed_starts_is_down() -> None:
    nothing = evidence(reloads=[]) | {"failed_starts": [FAILED]}
    assert shown(nothing)[0] == "down, no start"
    ended = {"step": 3, "at": 2.0, "reason": "none", "is_start": False, "missing": []}
    assert shown(nothing | {"ended": ended})[0] == "down, no start"
    # A start after a reload, and a stop.
    last = {**ended, "step": 8, "is_start": True, "reason": ALERT}
    line, explanation = shown(evidence() | {"ended": last})
    assert line == "down, no start"
    assert "in step 8, HAProxy did not start: it could not bind 192.168.42.43:80" in explanation


def test_replies_are_kept_with_their_commands() -> None:
    steps = [{"step": 2, "verb": "ask", "what": "show info", "at": 0.5, "commands": []}]
    replies = [{"step": 2, "at": 0.5, "text": "Name: HAProxy", "exit_code": None, "error": None}]
    timeline = evidence()
    timeline["steps"] = [*timeline["steps"], *steps]
    [reply] = judge(read(timeline | {"replies": replies})).replies
    assert (reply.step, reply.command, reply.text) == (2, "show info", "Name: HAProxy")


def test_restarts_are_reloads_by_another_verb() -> None:
    timeline = evidence(reloads=[reload(verb="restart", reported="success", steady=True)])
    [found] = judge(read(timeline)).reloads
    assert found.verb == "restart"
    assert OLD in [each["pid"] for each in timeline["processes"]]
