"""What watches a cell while its steps are taken: the prober, the listeners' sampler, the log."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from provision.guest.connections import Target
from provision.guest.errors import GuestError
from provision.guest.haproxy import LOG
from provision.guest.listeners import Sampler
from provision.guest.prober import Prober, Record

SAMPLING_SECONDS = 0.05
"""Between two looks at the listening sockets."""
_END_SECONDS = 10.0
_FRESH_SECONDS = 0.5
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1  # prctl(2)
_STANDARD_ERROR = 2


class Watch:
    """Two processes, and a thread that takes what they and HAProxy's log say.

    All times are seconds on the monotonic clock since `origin`.
    """

    def __init__(
        self, targets: list[Target], tree: Path, interval: float, life: float, origin: float
    ) -> None:
        self.origin = origin
        self.life = life
        self.records: list[Record] = []
        self.log: list[tuple[float, str]] = []
        self.listeners: dict[str, Any] = {"listeners": [], "processes": [], "sampling": None}
        self.probing: dict[str, Any] = {}
        # For each target its last outcome, since when it is that, and when it was seen last.
        self._runs: dict[int, tuple[str, float, float]] = {}
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
        self._is_over = threading.Event()
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
            time.sleep(_POLL_SECONDS)
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
            for child, seconds in ((self._sampler, 0.0), (self._prober, self.life)):
                child.connection.send("stop")
                if child is self._sampler and child.connection.poll(_END_SECONDS):
                    self.listeners = child.connection.recv()
                child.process.join(seconds + _END_SECONDS)
                if child.process.is_alive():
                    raise GuestError(f"{child.process.name} does not end")
        finally:
            self._is_over.set()
            self._thread.join()
            for child in (self._sampler, self._prober):
                child.process.kill()
        self.records.sort(key=lambda record: record[1])

    def _listen(self) -> None:
        with LOG.open("rb") as log:
            rest = b""
            is_last = False
            while not is_last:
                is_last = self._is_over.wait(_POLL_SECONDS)
                *lines, rest = (rest + log.read()).split(b"\n")
                now = round(self.now(), 3)
                self.log += [(now, line.decode("utf-8", "replace")) for line in lines]
                while self._prober.connection.poll():
                    try:
                        self._take(self._prober.connection.recv())
                    except EOFError:
                        break

    def _take(self, records: list[Record] | dict[str, Any]) -> None:
        if isinstance(records, dict):
            self.probing = records
            return
        self.records += records
        for target, _, _, ended, outcome, _, _ in records:
            before, since, _ = self._runs.get(target, (outcome, ended, ended))
            self._runs[target] = (outcome, since if outcome == before else ended, ended)
            if outcome == "ok":
                self._answered = ended


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
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if is_prompt:
            # Before whatever else wants the processor: a prober that is late sees less.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        kept = there.fileno()
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
            if int(name) > _STANDARD_ERROR and int(name) != kept:
                with contextlib.suppress(OSError):  # that of the listing itself is closed already
                    os.close(int(name))
        run(there)
