"""Old workers: how long they stay, what they use, and which are left."""

from __future__ import annotations

import pytest

from tests.factories.cells import table_line
from tests.factories.evidence import AT, MASTER, NEW, OLD, evidence, judge, reload, workers

ENDED = AT + 2.0
"""The end of the old worker in a reload that succeeds."""


def test_old_worker_ends_and_what_it_used_is_kept() -> None:
    source = evidence(processes=workers((OLD, 0.0, ENDED), (NEW, AT + 0.1, 6.0)))
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
    assert table_line(found) == "ok"


def test_old_worker_that_is_left_is_reported() -> None:
    source = evidence(processes=workers((OLD, 0.0, 6.0), (OLD + 1, 0.5, 6.0), (NEW, AT + 0.1, 6.0)))
    source["usage"] = [[5.0, OLD, 9_400_000, 1.5, 7]]
    found = judge(source)
    assert table_line(found) == "ok, 2 old workers left"
    assert (
        "; 2 old workers were left, the oldest 5.2 s old, with 9 MB, 1.50 s of processor time and "
        "7 open files"
    ) in found.explanation


def test_worker_that_goes_on_after_a_failed_reload_is_not_left() -> None:
    reloads = [reload(step=4, until=2.5), reload(step=6, at=2.6)]
    source = evidence(reloads=reloads, processes=workers((OLD, 0.0, 6.0), (NEW, AT + 0.1, 2.0)))
    first, second = judge(source).reloads
    assert [(each.pid, each.is_left) for each in first.old_workers] == [(OLD, False)]
    assert [(each.pid, each.is_left) for each in second.old_workers] == [(OLD, False)]
