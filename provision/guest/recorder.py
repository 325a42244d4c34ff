"""The recorder of a cell: it runs the prober and the sampler, and follows HAProxy's log."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from provision.guest import kernel
from provision.guest.client_records import ClientRecords, Probe
from provision.guest.clients import Clients
from provision.guest.clock import DIGITS, Clock, following
from provision.guest.connections import Target
from provision.guest.errors import GuestError
from provision.guest.haproxy import LOG, is_own
from provision.guest.listeners import Sampler
from provision.guest.prober import News, Prober, Runs
from provision.guest.protocol import Listener, LogLine, Probing, Process, Sampling, Usage, cut

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


class View(ABC):
    """The record so far: HAProxy's log, and how each target's probes end.

    All times are seconds on a clock, the present one of which `now` returns.
    """

    NOTHING: ClassVar[Mapping[str, Any]] = {
        "log": (), "probes": (), "probing": Probing(0.0, 0.0, 1),
        "listeners": (), "processes": (), "sampling": Sampling(SAMPLING_SECONDS, 0, 0.0, 0.0),
        "dormant": (), "usage": (), "clients": ClientRecords(),
    }  # fmt: skip
    """The evidence of a cell in which nothing was watched, as `seen` returns it."""

    def __init__(self, targets: int, now: Callable[[], float]) -> None:
        self.now = now
        self.log: list[tuple[float, str]] = []
        self.spoke = 0.0
        """The time of HAProxy's last log line about itself, not about a client."""
        self.listeners: dict[str, Any] = {}
        """The sampler's record, once it has ended."""
        self.probes: dict[str, Any] = {}
        """The prober's record, once it has ended."""
        self.clients = ClientRecords()
        """The records of the clients beside the prober, once they have ended."""
        self._rest = b""
        self._runs: Runs = {}
        self._targets = range(targets)
        self._answered = now()

    @abstractmethod
    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, `seconds` at most; return whether it does."""

    def add_log(self, data: bytes) -> bool:
        """Add what was written to the log; True if that ends a line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        now = round(self.now(), DIGITS)
        texts = [cut(line.decode("utf-8", "replace")) for line in lines]
        self.log += [(now, text) for text in texts]
        if any(map(is_own, texts)):
            self.spoke = now
        return bool(lines)

    def add_news(self, news: News) -> None:
        """Add what the prober reports."""
        self._runs = news.runs
        self._answered = news.answered or self._answered

    def is_steady(self, seconds: float) -> bool:
        """Return whether the probes of every target have ended in one way for so long."""
        now = self.now()
        runs = [self._runs.get(target, ("", now, 0.0)) for target in self._targets]
        return all(
            now - since >= seconds and now - seen < _FRESH_SECONDS for _, since, seen in runs
        )

    def outcome(self, target: int) -> str | None:
        """Return how the last probe of a target ended, of those that have ended."""
        return self._runs[target][0] if target in self._runs else None

    def unanswered(self) -> float:
        """Return the seconds since any probe was answered."""
        return self.now() - self._answered

    def seen(self, masters: Container[int], second: int | None) -> Mapping[str, Any]:
        """Return all observations as fields of Evidence, after the end.

        `masters` are HAProxy's, `second` is another HAProxy.
        """
        if not (self.probes and self.listeners):
            raise GuestError("the prober or the sampler ended without a word")

        def kind(process: dict[str, Any]) -> str:
            if process["kind"] != "haproxy" or process["pid"] == second:
                return "stranger"
            return "master" if process["pid"] in masters else "worker"

        return {
            "log": tuple(map(LogLine._make, self.log)),
            "probes": tuple(map(Probe._make, self.probes["probes"])),
            "probing": Probing(**self.probes["probing"]),
            **{
                name: tuple(
                    Listener(**{**each, "pids": tuple(each["pids"])})
                    for each in self.listeners[name]
                )
                for name in ("listeners", "dormant")
            },
            "usage": tuple(map(Usage._make, self.listeners["usage"])),
            "processes": tuple(
                Process(**{**each, "kind": kind(each)}) for each in self.listeners["processes"]
            ),
            "sampling": Sampling(**self.listeners["sampling"]),
            "clients": self.clients,
        }


class Recorder(View):
    """Records until it is stopped: the prober, the sampler and clients, each a process.

    A thread reads from them and the log.
    """

    def __init__(
        self,
        targets: list[Target],
        tree: Path,
        interval: float,
        life: float,
        clock: Clock,
        clients: Clients,
        datagrams: list[Target],
    ) -> None:
        super().__init__(len(targets), clock.now)
        self.life = life
        self._clock = clock
        self._has_news = threading.Event()
        self._prober = _Child(
            "the prober",
            lambda parent: Prober(targets, interval, life, clock.origin).run(parent),
            is_prompt=True,
        )
        self._sampler = _Child(
            "the sampler",
            lambda parent: Sampler(targets, datagrams, tree, SAMPLING_SECONDS, clock.origin).run(
                parent
            ),
            is_prompt=False,
        )
        self._clients = clients
        self._beside = {
            name: (_Child(f"the process for {name}", run, is_prompt=False), seconds)
            for name, (run, seconds) in clients.programs().items()
        }
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait as `View.wait`. Raises GuestError when the prober has failed meanwhile."""
        deadline = self.now() + seconds
        while not condition():
            if not self._prober.process.is_alive():
                raise GuestError("the prober ended before the cell did")
            if self.now() > deadline:
                return False
            # At moments that lie between the probes, so that equal cells are watched equally long.
            now = self.now()
            moment = following(now + _LEAST_SECONDS, _POLL_SECONDS / 2, _POLL_SECONDS)
            self._has_news.wait(moment - now)
            self._has_news.clear()
        return True

    def stop(self) -> None:
        """Let the last probes end, and take all that was seen.

        Raises GuestError when one of the processes does not end.
        """
        beside = [child for child, _ in self._beside.values()]
        try:
            for child in (self._prober, self._sampler, *beside):
                with contextlib.suppress(BrokenPipeError):  # it has ended: seen below
                    child.connection.send("stop")
            for child, seconds in ((self._sampler, 0.0), (self._prober, self.life)):
                if child is self._sampler and child.connection.poll(_END_SECONDS):
                    self.listeners = child.connection.recv()
                child.process.join(seconds + _END_SECONDS)
                if child.process.is_alive():
                    raise GuestError(f"{child.process.name} does not end")
            self.clients = self._clients.records(
                {name: child.receive(seconds) for name, (child, seconds) in self._beside.items()}
            )
        finally:
            for child in (self._sampler, self._prober, *beside):
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
                self._read(log)
                ready = {file for file, _ in poll.poll()}
                if growth.fileno() in ready:
                    growth.read(_EVENT_BYTES)
                if connection.fileno() in ready:
                    is_over = not self._receive()
            self._read(log)

    def _read(self, log: BinaryIO) -> None:
        if self.add_log(log.read()):
            self._has_news.set()

    def _receive(self) -> bool:
        """Take a message of the prober; True if there was one."""
        try:
            message = self._prober.connection.recv()
        except (EOFError, OSError):  # it has ended, or was ended in the middle of a message
            return False
        if isinstance(message, News):
            self.add_news(message)
        else:
            self.probes = message
        return True


def _growth(path: Path) -> BinaryIO:
    """Return a file that can be read whenever another one has grown (inotify(7))."""
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

    def receive(self, seconds: float) -> Any:
        """Return the records that it sends last. Raises GuestError when that takes too long."""
        try:
            if self.connection.poll(seconds + _END_SECONDS):
                return self.connection.recv()
        except EOFError:
            pass
        raise GuestError(f"{self.process.name} ended without a word, or does not end")

    @staticmethod
    def _run(run: Callable[[Connection], None], there: Connection, is_prompt: bool) -> None:
        kernel.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        if is_prompt:
            # The prober goes before everything else: when it is late, it sees less.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        kept = there.fileno()
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
            if int(name) > _STANDARD_ERROR and int(name) != kept:
                with contextlib.suppress(OSError):  # that of the listing itself is closed already
                    os.close(int(name))
        run(there)
