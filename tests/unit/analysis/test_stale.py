"""Stale answers: those of configurations that should not answer any more."""

from __future__ import annotations

from typing import Any

import pytest

from hatester.analysis.model import Judgement
from tests.factories.cells import table_line
from tests.factories.evidence import A44, AT, LABELS, evidence, judge, reload


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
