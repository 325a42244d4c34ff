"""The schedule: every task is carried out, whatever becomes of the guests."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from hatester.plan import Cell, Task
from hatester.schedule import Schedule


def tasks(**counts: int) -> list[Task]:
    """So many repetitions of a cell for each kernel."""
    return [
        (Cell(kernel, "2.2", "plain", "lost-address", "signal"), number)
        for kernel, count in counts.items()
        for number in range(count)
    ]


def test_a_guest_takes_the_tasks_of_its_kernel_in_their_order() -> None:
    planned = tasks(a=2, b=1)
    schedule = Schedule(planned)
    assert schedule.enter() == "a"
    assert [schedule.take("a"), schedule.take("a"), schedule.take("a")] == [*planned[:2], None]


def test_guests_are_spread_over_the_kernels_by_what_is_left() -> None:
    schedule = Schedule(tasks(a=2, b=9, c=4))
    assert [schedule.enter() for _ in range(6)] == ["b", "b", "c", "b", "b", "a"]


def test_no_more_guests_are_started_than_have_something_to_do() -> None:
    schedule = Schedule(tasks(a=2))
    assert [schedule.enter() for _ in range(3)] == ["a", "a", None]
    schedule.leave("a")
    assert schedule.enter() == "a"


def test_what_was_put_back_comes_first_in_the_next_guest() -> None:
    schedule = Schedule(tasks(a=2))
    schedule.enter()
    first = schedule.take("a")
    assert first
    schedule.put_back(first)
    schedule.leave("a")
    assert schedule.enter() == "a"
    assert schedule.take("a") == first


def test_a_kernel_that_cannot_be_started_is_given_up_with_all_its_tasks() -> None:
    planned = tasks(a=3, b=1)
    schedule = Schedule(planned)
    assert schedule.enter() == "a"
    assert schedule.give_up("a") == planned[:3]
    schedule.leave("a")
    assert schedule.enter() == "b"


def test_a_second_guest_that_cannot_be_started_leaves_the_work_to_the_first() -> None:
    schedule = Schedule(tasks(a=5))
    schedule.enter(), schedule.enter()
    assert schedule.give_up("a") == []
    schedule.leave("a")
    assert schedule.enter() is None
    assert schedule.take("a")
    # But if the first dies, another one is tried.
    schedule.leave("a")
    assert schedule.enter() == "a"


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 12)),
    st.integers(1, 4),
    st.lists(st.sampled_from(["ok", "dies", "cannot start"]), max_size=30),
)
def test_every_task_is_carried_out_or_given_up_once(
    counts: dict[str, int], jobs: int, fates: list[str]
) -> None:
    planned = tasks(**counts)
    schedule = Schedule(planned)
    done: list[Task] = []

    def fate() -> str:
        try:
            return fates.pop()
        except IndexError:
            return "ok"

    def work() -> None:
        while kernel := schedule.enter():
            if fate() == "cannot start":
                done.extend(schedule.give_up(kernel))
            else:
                while task := schedule.take(kernel):
                    if fate() == "dies":
                        schedule.put_back(task)
                        break
                    done.append(task)
            schedule.leave(kernel)

    with ThreadPoolExecutor(jobs) as pool:
        for worker in [pool.submit(work) for _ in range(jobs)]:
            worker.result()
    assert Counter(done) == Counter(planned)
