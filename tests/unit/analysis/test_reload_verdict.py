"""The verdict on a reload: whether it had an effect."""

from __future__ import annotations

from tests.factories.cells import table_line
from tests.factories.evidence import NEW, PROCESSES, evidence, judge, reload

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
