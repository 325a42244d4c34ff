"""Signals: the first ends a command in order, and later ones change nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from hatester.util.errors import TimeIsUp

_TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
_WAKE = signal.SIGURG
"""Wakes the main thread. Processes ignore it unless they ask for it (signal(7))."""
_WAKE_SECONDS = 0.02


@contextlib.contextmanager
def taken() -> Iterator[None]:
    """Have the first signal raise KeyboardInterrupt, or TimeIsUp where the time limit is reached.

    Handlers are restored at the end, except of signals that `taken_to_the_end` has.
    """
    before = {number: signal.getsignal(number) for number in _TAKEN}
    with _main_thread_woken():
        _take()
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not _interrupt:
                    signal.signal(number, handler)


@contextlib.contextmanager
def taken_to_the_end() -> Iterator[None]:
    """Do the same for a process of ours, in which an interruption lasts until the process ends."""
    with _main_thread_woken():
        _take()
        try:
            yield
        finally:
            for number in _TAKEN:
                # Python drops its own handlers before it exits, and would die of the next signal.
                if signal.getsignal(number) is _be_patient:
                    signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def limit_time(seconds: float | None) -> Iterator[None]:
    """Raise TimeIsUp after so many seconds (setitimer(2)); None: no limit."""
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _take() -> None:
    for number in _TAKEN:
        # nohup(1) has a signal ignored, and it stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # A shutdown takes a bounded time. Cut short, it would leave processes behind.
    for each in _TAKEN:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, _be_patient)
    if number == signal.SIGALRM:
        raise TimeIsUp("The time limit was reached.")
    raise KeyboardInterrupt(signal.Signals(number).name)


def _be_patient(number: int, _frame: FrameType | None) -> None:
    if number != signal.SIGALRM:
        # By the descriptor: the interrupted code may be writing to the stream.
        os.write(sys.stderr.fileno(), b"Already shutting down.\n")


@contextlib.contextmanager
def _main_thread_woken() -> Iterator[None]:
    """Wake the main thread when another thread has received a signal.

    Python runs handlers in the main thread alone, and that does not wake by itself where it waits
    for a lock or a command. The kernel may deliver a signal of the process to any thread: one that
    starts a command blocks signals meanwhile, and receives what came in between.
    """
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    descriptor = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    handler = signal.signal(_WAKE, lambda *_: None)
    waker = threading.Thread(
        target=_wake, args=(receiver, threading.get_ident()), name="signals", daemon=True
    )
    waker.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        os.close(sender)
        waker.join()
        signal.signal(_WAKE, handler)
        os.close(receiver)


def _wake(receiver: int, main_thread: int) -> None:
    """Wake a thread for each signal whose number comes, until the signal's handler has run."""
    while number := os.read(receiver, 1):
        while signal.getsignal(number[0]) is _interrupt:
            signal.pthread_kill(main_thread, _WAKE)
            time.sleep(_WAKE_SECONDS)
