"""Shards: parts of a plan that are the same on each machine, and of about equal work."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.plan import Cell
from hatester.matrix.shards import BATCH, Shard, make_batches, plan_tasks, read_shard

CELLS = st.lists(
    st.builds(
        Cell,
        kernel=st.sampled_from(["5.10", "6.1", "6.12"]),
        build=st.sampled_from(["2.2", "2.6", "3.0", "3.2"]),
        setting=st.sampled_from(["plain", "nonlocal-bind"]),
        scenario=st.sampled_from(["hitless", "lost-address"]),
        method=st.just("signal"),
    ),
    unique=True,
    max_size=48,
)


@given(CELLS, st.integers(1, 4), st.integers(1, 12))
def test_shards_are_disjoint_complete_and_balanced(
    cells: list[Cell], repeat: int, count: int
) -> None:
    tasks = plan_tasks(cells, repeat)
    parts = [plan_tasks(cells, repeat, Shard(number, count)) for number in range(1, count + 1)]
    assert Counter(task for part in parts for task in part) == Counter(tasks)
    for part in parts:
        assert part == [task for task in tasks if task in part]
        assert abs(len(part) - len(tasks) / count) <= BATCH


@given(CELLS, st.integers(1, 4), st.integers(1, 12), st.data())
def test_a_shard_has_whole_batches_of_the_plan(
    cells: list[Cell], repeat: int, count: int, data: st.DataObject
) -> None:
    shard = Shard(data.draw(st.integers(1, count)), count)
    whole = [*make_batches(plan_tasks(cells, repeat))]
    part = [*make_batches(plan_tasks(cells, repeat, shard))]
    assert part == [batch for batch in whole if batch in part]


@given(CELLS, st.integers(1, 4), st.integers(1, 12))
def test_shards_share_few_kernels(cells: list[Cell], repeat: int, count: int) -> None:
    parts = [plan_tasks(cells, repeat, Shard(number, count)) for number in range(1, count + 1)]
    used = sum(len({cell.kernel for cell, _ in part}) for part in parts)
    # Each border between two shards splits one kernel at most.
    assert used <= len({cell.kernel for cell in cells}) + count - 1


def test_a_small_plan_leaves_shards_without_cells() -> None:
    cells = [Cell("6.1", "2.2", "plain", "hitless", "signal")]
    assert [len(plan_tasks(cells, 1, Shard(number, 3))) for number in (1, 2, 3)] == [0, 1, 0]


@pytest.mark.parametrize("text", ["1/1", "1/3", "3/3", "9999/9999"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    assert str(read_shard(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "1", "/", "0/3", "4/3", "1/0", "01/3", "1/03", "-1/3", "1/3\n", " 1/3", "٣/٣", "1/10000"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a shard such as 1/3"):
        read_shard(text)
