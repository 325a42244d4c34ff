"""What watches a cell while its steps are taken: the prober, the listeners' sampler, the log."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from provision.guest import clock, kernel
from provision.guest.connections import Target
from provision.guest.errors import GuestError
from provision.guest.haproxy import LOG, is_own
from provision.guest.listeners import Sampler
from provision.guest.prober import News, Prober, Runs

SAMPLING_SECONDS = 0.05
"""Between two looks at the listening sockets."""
_END_SECONDS = 10.0
_FRESH_SECONDS = 0.5
_POLL_SECONDS = 0.05  # what the log says is heard at once
_LEAST_SECONDS = 0.001
_PR_SET_PDEATHSIG = 1  # prctl(2)
_IN_MODIFY = 2  # inotify(7)
_EVENT_BYTES = 4096  # more than a few events have
_STANDARD_ERROR = 2
_DIGITS = 5


class Recorder:
    """Two processes, and a thread that takes what they and HAProxy's log say.

    All times are seconds on the monotonic clock since `origin`.
    """

    NOTHING: ClassVar[dict[str, Any]] = {
        "log": [], "probes": [], "listeners": [], "processes": [],
        "probing": {"cpu_seconds": 0.0, "seconds": 0.0, "processors": 1},
        "sampling": {
            "interval": SAMPLING_SECONDS, "samples": 0, "cpu_seconds": 0.0, "seconds": 0.0
        },
    }  # fmt: skip
    """The evidence of a cell in which nothing was watched."""

    def __init__(
        self, targets: list[Target], tree: Path, interval: float, life: float, origin: float
    ) -> None:
        self.origin = origin
        self.life = life
        self.log: list[tuple[float, str]] = []
        self.spoke = 0.0
        """When HAProxy itself logged something last, and not what a client did."""
        self._rest = b""
        self._is_told = threading.Event()
        self.listeners: dict[str, Any] = {"listeners": [], "processes": [], "sampling": None}
        self.probes: dict[str, Any] = {"probes": [], "probing": {}}
        self._runs: Runs = {}
        self._targets = range(len(targets))
        self._answered = self.now()
        self._prober = _Child(
            "the prober",
            lambda parent: Prober(targets, interval, life, origin).run(parent),
            is_prompt=True,
        )
        self._sampler = _Child(
            "the sampler",
            lambda parent: Sampler(targets, tree, SAMPLING_SECONDS, origin).run(parent),
            is_prompt=False,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def now(self) -> float:
        return time.monotonic() - self.origin

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, `seconds` at most; returns whether it does.

        Raises GuestError when the prober has failed meanwhile.
        """
        deadline = self.now() + seconds
        while not condition():
            if not self._prober.process.is_alive():
                raise GuestError("the prober ended before the cell did")
            if self.now() > deadline:
                return False
            # At moments that lie between the probes, so that equal cells are watched equally long.
            now = time.monotonic()
            beside = self.origin + _POLL_SECONDS / 2
            following = clock.following(now + _LEAST_SECONDS, beside, _POLL_SECONDS)
            self._is_told.wait(following - now)
            self._is_told.clear()
        return True

    def is_steady(self, seconds: float) -> bool:
        """Whether every target has ended its probes in one and the same way for so long."""
        now = self.now()
        runs = [self._runs.get(target, ("", now, 0.0)) for target in self._targets]
        return all(
            now - since >= seconds and now - seen < _FRESH_SECONDS for _, since, seen in runs
        )

    def outcome(self, target: int) -> str | None:
        """How the last probe of a target that has ended did end."""
        return self._runs[target][0] if target in self._runs else None

    def unanswered(self) -> float:
        """Seconds since any probe was answered."""
        return self.now() - self._answered

    def stop(self) -> None:
        """Let the last probes end, and take all that was seen.

        Raises GuestError when one of the two processes does not end.
        """
        try:
            for child in (self._prober, self._sampler):
                child.connection.send("stop")
            for child, seconds in ((self._sampler, 0.0), (self._prober, self.life)):
                if child is self._sampler and child.connection.poll(_END_SECONDS):
                    self.listeners = child.connection.recv()
                child.process.join(seconds + _END_SECONDS)
                if child.process.is_alive():
                    raise GuestError(f"{child.process.name} does not end")
        finally:
            for child in (self._sampler, self._prober):
                child.process.kill()
            self._thread.join()

    def _listen(self) -> None:
        """Take each line of the log, and what the prober says, when they come; until it is gone."""
        connection = self._prober.connection
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        with LOG.open("rb") as log, _growth(LOG) as growth:
            poll.register(growth, select.POLLIN)
            is_over = False
            while not is_over:
                self._hear(log)
                ready = {file for file, _ in poll.poll()}
                if growth.fileno() in ready:
                    growth.read(_EVENT_BYTES)
                if connection.fileno() in ready:
                    is_over = not self._take()
            self._hear(log)

    def _hear(self, log: BinaryIO) -> None:
        *lines, self._rest = (self._rest + log.read()).split(b"\n")
        now = round(self.now(), _DIGITS)
        texts = [line.decode("utf-8", "replace") for line in lines]
        self.log += [(now, text) for text in texts]
        if any(map(is_own, texts)):
            self.spoke = now
        if lines:
            self._is_told.set()

    def _take(self) -> bool:
        """Take what the prober says; returns whether it was there to say anything."""
        try:
            told = self._prober.connection.recv()
        except (EOFError, OSError):  # it has ended, or was ended in the middle of a sentence
            return False
        if isinstance(told, News):
            self._runs = told.runs
            self._answered = told.answered or self._answered
        else:
            self.probes = told
        return True


def _growth(path: Path) -> BinaryIO:
    """What can be read from whenever a file has grown (inotify(7))."""
    file = kernel.call("inotify_init1", os.O_CLOEXEC)
    kernel.call("inotify_add_watch", file, os.fsencode(path), _IN_MODIFY)
    return open(file, "rb", buffering=0)  # noqa: PTH123


class _Child:
    """A process of its own for something that must not wait for others, and the way to it.

    It is killed when this process ends without having stopped it, and keeps none of its files,
    such as the listening sockets of strangers, open.
    """

    def __init__(self, name: str, run: Callable[[Connection], None], is_prompt: bool) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, there = context.Pipe()
        self.process = context.Process(
            target=self._run, args=(run, there, is_prompt), name=name, daemon=True
        )
        self.process.start()
        there.close()

    @staticmethod
    def _run(run: Callable[[Connection], None], there: Connection, is_prompt: bool) -> None:
        kernel.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        if is_prompt:
            # Before whatever else wants the processor: a prober that is late sees less.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        kept = there.fileno()
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
            if int(name) > _STANDARD_ERROR and int(name) != kept:
                with contextlib.suppress(OSError):  # that of the listing itself is closed already
                    os.close(int(name))
        run(there)
