"""The schedule: the same batches whatever else a run has, and every task is carried out."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.plan import Cell, Task
from hatester.matrix.shards import BATCH, Batch
from hatester.runner.queue import Schedule


def tasks(seeds: int = 1, **counts: int) -> list[Task]:
    """So many cells of each kernel, each with so many seeds, in a plan's order."""
    return [
        (Cell(kernel, f"2.{number}", "plain", "lost-address", "signal"), seed)
        for seed in range(1, seeds + 1)
        for kernel, count in counts.items()
        for number in range(count)
    ]


def batches(planned: list[Task]) -> list[Batch]:
    """All of them, each taken by a guest that has ended before the next one begins."""
    schedule = Schedule(planned)
    found = []
    while batch := schedule.take():
        found.append(batch)
        schedule.leave(batch.kernel)
    return found


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 35)),
    st.integers(1, 4),
)
def test_a_batch_is_of_one_kernel_and_one_seed_and_not_too_long(
    counts: dict[str, int], seeds: int
) -> None:
    planned = tasks(seeds, **counts)
    found = batches(planned)
    for kernel, part in found:
        assert 1 <= len(part) <= BATCH == 10
        assert {cell.kernel for cell, _ in part} == {kernel}
        assert len({seed for _, seed in part}) == 1
        # In the order of the plan.
        assert list(part) == [task for task in planned if task in part]
    assert Counter(task for batch in found for task in batch.tasks) == Counter(planned)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 25), min_size=1),
    st.integers(1, 4),
    st.data(),
)
def test_the_batches_of_a_seed_and_kernel_do_not_depend_on_others(
    counts: dict[str, int], seeds: int, data: st.DataObject
) -> None:
    planned = tasks(seeds, **counts)
    kernel = data.draw(st.sampled_from(sorted(counts)))
    seed = data.draw(st.integers(1, seeds))
    alone = [task for task in planned if task[0].kernel == kernel and task[1] == seed]
    assert batches(alone) == [
        batch for batch in batches(planned) if batch.kernel == kernel and batch.tasks[0][1] == seed
    ]


def kernels(schedule: Schedule, count: int) -> list[str | None]:
    taken = (schedule.take() for _ in range(count))
    return [batch and batch.kernel for batch in taken]


def test_guests_are_spread_over_the_kernels_by_what_is_left() -> None:
    schedule = Schedule(tasks(a=2 * BATCH, b=9 * BATCH, c=4 * BATCH))
    # Batches for each guest, the new one among them: b 9, 8/2, c 4, b 7/3, a 2, ...
    assert kernels(schedule, 5) == ["b", "b", "c", "b", "a"]


def test_no_more_guests_are_started_than_have_something_to_do() -> None:
    schedule = Schedule(tasks(a=BATCH + 1))
    assert kernels(schedule, 3) == ["a", "a", None]
    schedule.leave("a")
    assert schedule.take() is None


def test_what_was_put_back_comes_first_in_the_next_guest() -> None:
    schedule = Schedule(tasks(a=BATCH + 5))
    first = schedule.take()
    assert first
    schedule.put_back("a", first.tasks[4:])
    schedule.leave("a")
    assert schedule.take() == Batch("a", first.tasks[4:])
    second = schedule.take()
    assert second
    assert len(second.tasks) == 5


def test_nothing_put_back_is_no_batch() -> None:
    schedule = Schedule(tasks(a=1))
    assert schedule.take()
    schedule.put_back("a", [])
    schedule.leave("a")
    assert schedule.take() is None


def test_a_kernel_that_cannot_be_started_is_given_up_with_all_its_tasks() -> None:
    planned = tasks(2, a=BATCH + 3, b=1)
    schedule = Schedule(planned)
    batch = schedule.take()
    assert batch
    assert batch.kernel == "a"
    schedule.put_back("a", batch.tasks)
    assert schedule.give_up("a") == [task for task in planned if task[0].kernel == "a"]
    schedule.leave("a")
    assert kernels(schedule, 3) == ["b", "b", None]


def test_a_second_guest_that_cannot_be_started_leaves_the_work_to_the_first() -> None:
    schedule = Schedule(tasks(a=3 * BATCH))
    first, second = schedule.take(), schedule.take()
    assert first
    assert second
    schedule.put_back("a", second.tasks)
    assert schedule.give_up("a") == []
    schedule.leave("a")
    assert schedule.take() is None
    # When the first one ends, another is tried.
    schedule.leave("a")
    assert schedule.take() == second


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 32)),
    st.integers(1, 3),
    st.integers(1, 4),
    st.lists(st.sampled_from(["ok", "dies", "cannot start"]), max_size=30),
)
def test_every_task_is_carried_out_or_given_up_once(
    counts: dict[str, int], seeds: int, jobs: int, fates: list[str]
) -> None:
    planned = tasks(seeds, **counts)
    schedule = Schedule(planned)
    done: list[Task] = []

    def fate() -> str:
        try:
            return fates.pop()
        except IndexError:
            return "ok"

    def work() -> None:
        while batch := schedule.take():
            left = list(batch.tasks)
            if fate() == "cannot start":
                schedule.put_back(batch.kernel, left)
                done.extend(schedule.give_up(batch.kernel))
            else:
                while left and fate() != "dies":
                    done.append(left.pop(0))
                schedule.put_back(batch.kernel, left)
            schedule.leave(batch.kernel)

    with ThreadPoolExecutor(jobs) as pool:
        for worker in [pool.submit(work) for _ in range(jobs)]:
            worker.result()
    assert Counter(done) == Counter(planned)
