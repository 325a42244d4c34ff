"""Notes beside a verdict: stale answers, and old workers that are left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.model import Judgement
from hatester.analysis.notes import share_words
from hatester.analysis.outcomes import lines
from tests.factories.cells import ID, cell_result
from tests.factories.evidence import (
    A43,
    A44,
    A45,
    AT,
    LABELS,
    MASTER,
    NEW,
    OLD,
    STATS,
    evidence,
    held,
    judge,
    reload,
)

ENDED = AT + 2.0
"""The end of the old worker in a reload that succeeds."""


def line(judgement: Judgement) -> str:
    [found] = lines([cell_result(ID, judgement)])
    return found


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
    assert line(found) == f"ok, {word}"
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


def processes(*workers: tuple[int, float, float]) -> list[dict[str, Any]]:
    found = [{"pid": MASTER, "kind": "master", "start": 0.0, "end": 6.0}]
    return found + [
        {"pid": pid, "kind": "worker", "start": start, "end": end} for pid, start, end in workers
    ]


def test_old_worker_ends_and_what_it_used_is_kept() -> None:
    source = evidence(processes=processes((OLD, 0.0, ENDED), (NEW, AT + 0.1, 6.0)))
    source["usage"] = [
        [1.0, OLD, 8_000_000, 0.25, 12], [3.0, OLD, 9_000_000, 0.5, 7], [3.0, MASTER, 4096, 0.1, 5],
        [5.5, MASTER, 8192, 0.2, 6],
    ]  # fmt: skip
    found = judge(source)
    [entry] = found.reloads
    assert [each.model_dump(by_alias=True) for each in entry.old_workers] == [
        {
            "pid": OLD, "age": pytest.approx(ENDED), "ended_at": pytest.approx(2.0), "left": False,
            "use": {"memory": 9_000_000, "cpu_seconds": 0.5, "files": 7},
        }
    ]  # fmt: skip
    assert entry.master
    assert entry.master.files == 5
    assert line(found) == "ok"


def test_old_worker_that_is_left_is_told() -> None:
    source = evidence(
        processes=processes((OLD, 0.0, 6.0), (OLD + 1, 0.5, 6.0), (NEW, AT + 0.1, 6.0))
    )
    source["usage"] = [[5.0, OLD, 9_400_000, 1.5, 7]]
    found = judge(source)
    assert line(found) == "ok, 2 old workers left"
    assert (
        "; 2 old workers were left, the oldest 5.2 s old, with 9 MB, 1.50 s of processor time and "
        "7 open files"
    ) in found.explanation


def test_worker_that_goes_on_after_a_failed_reload_is_not_left() -> None:
    reloads = [reload(step=4, until=2.5), reload(step=6, at=2.6)]
    source = evidence(reloads=reloads, processes=processes((OLD, 0.0, 6.0), (NEW, AT + 0.1, 2.0)))
    first, second = judge(source).reloads
    assert [(each.pid, each.is_left) for each in first.old_workers] == [(OLD, False)]
    assert [(each.pid, each.is_left) for each in second.old_workers] == [(OLD, False)]


def test_socket_that_is_held_out_of_listen_is_told() -> None:
    labels = [A44, A45, STATS]
    source = evidence(
        {label: [(AT, 9.0, "refused")] for label in labels},
        listeners=held((0.0, AT, (OLD,)), labels=labels),
        reloads=[reload(reported="success", reported_at=AT + 0.1)],
        processes=processes((OLD, 0.0, ENDED), (NEW, AT + 0.1, 6.0)),
    )
    source["dormant"] = held((AT + 0.05, ENDED, (OLD,)), (AT + 0.1, 6.0, (NEW,)), labels=labels)
    found = judge(source)
    assert [each.dormant for each in found.causes if each.what == "listener"] == [("new worker",)]
    assert (
        "(the old worker did before), although the new worker held the sockets, which had all left "
        "LISTEN, and "
    ) in found.explanation
    source["dormant"] = source["dormant"][:2]
    assert "LISTEN" not in judge(source).explanation


def test_address_that_was_bound_anew_and_never_answers_is_told() -> None:
    success = reload(reported="success", in_the_end=[*LABELS])
    found = judge(evidence({A43: [(0.0, 9.0, "refused")]}, reloads=[success]))
    assert line(found) == "down refused .43, stale, silent"
    assert found.reloads[0].addresses[A43].is_new
    assert found.explanation.startswith(
        "HAProxy reported success at +2.05 s after the reload of step 6, and .43, which it had "
        "bound anew, never answered: "
    )


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_shares_have_words(shares: list[float]) -> None:
    words = share_words(shares)
    assert (words == "") == (min(shares) >= 0.95)
    assert words in ("", "half") or words.endswith("%")
