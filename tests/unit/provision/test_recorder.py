"""The records of the log and of the prober's news, on a made-up clock."""

from __future__ import annotations

import pytest

from provision.guest.prober import News
from tests.factories.guest import SUCCESS, MadeUpClock, MadeUpRecorder


@pytest.fixture
def clock() -> MadeUpClock:
    return MadeUpClock()


@pytest.fixture
def recorder(clock: MadeUpClock) -> MadeUpRecorder:
    return MadeUpRecorder(clock, targets=2)


def test_lines_have_the_time_of_their_ends(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.sleep_until(1.0)
    assert not recorder.add_log(b"Load")
    clock.sleep_until(2.0)
    assert recorder.add_log(b"ing\nof \xff\nres")
    assert [tuple(line) for line in recorder.log] == [(2.0, "Loading"), (2.0, "of \ufffd")]


def test_only_haproxy_itself_speaks(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.sleep_until(1.0)
    recorder.write(SUCCESS)
    clock.sleep_until(2.0)
    recorder.write("192.0.2.1:5000 main main/<NOSRV> 200")
    assert recorder.spoke == 1.0


@pytest.mark.parametrize(
    ("runs", "is_steady"),
    [
        ({0: ("ok", 0.0, 9.9), 1: ("refused", 8.9, 9.9)}, True),
        ({0: ("ok", 0.0, 9.9), 1: ("refused", 9.5, 9.9)}, False),
        # No probe has ended for a while.
        ({0: ("ok", 0.0, 9.9), 1: ("ok", 0.0, 9.0)}, False),
        ({0: ("ok", 0.0, 9.9)}, False),
        ({}, False),
    ],
)
def test_steady(
    runs: dict[int, tuple[str, float, float]], is_steady: bool, clock: MadeUpClock,
    recorder: MadeUpRecorder,
) -> None:  # fmt: skip
    clock.sleep_until(10.0)
    recorder.add_news(News(runs, 9.9))
    assert recorder.is_steady(1.0) is is_steady


def test_unanswered_since_the_last_answer(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.sleep_until(5.0)
    assert recorder.unanswered() == 5.0
    recorder.add_news(News({0: ("ok", 0.0, 4.0)}, 4.0))
    recorder.add_news(News({0: ("refused", 4.5, 5.0)}, None))
    assert recorder.unanswered() == 1.0
    assert recorder.outcome(0) == "refused"
    assert recorder.outcome(1) is None
