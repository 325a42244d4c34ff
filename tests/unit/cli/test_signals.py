"""Signals that come during a command."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from invoke.exceptions import Exit

from hatester.cli.program import INTERRUPTED, NOT_MEASURED, orderly
from hatester.cli.signals import limit_time


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    # A shell may have had some ignored (nohup(1)), and what is ignored stays so.
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_it_and_no_other_keeps_it_from_ending_in_order(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[str] = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                os.kill(os.getpid(), again)
            ended.append("in order")

    with pytest.raises(Exit, match="Interrupted") as error, orderly():
        work()
    assert error.value.code == INTERRUPTED
    assert ended == ["in order"]
    assert capfd.readouterr().err == "Already shutting down.\n" * 3


def test_a_time_limit_ends_it_too_and_says_so() -> None:
    with pytest.raises(Exit, match="time limit was reached") as error, orderly(), limit_time(0.01):
        time.sleep(10)
    assert error.value.code == NOT_MEASURED


def test_what_is_done_within_its_time_limit_is_not_ended_later() -> None:
    with orderly():
        with limit_time(0.05):
            pass
        time.sleep(0.1)
        with limit_time(None):
            time.sleep(0.1)


def test_handlers_of_signals_are_restored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Exit), orderly():
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_another_thread_receives_ends_a_wait() -> None:
    def receive() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    def wait() -> None:
        threading.Timer(0.1, receive).start()
        over.wait()

    over = threading.Event()
    guard = threading.Timer(20, over.set)
    guard.start()
    with pytest.raises(Exit, match="Interrupted"), orderly():
        wait()
    guard.cancel()
    assert not over.is_set()
