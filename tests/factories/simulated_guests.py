"""Guests that are simulated on one seeded scheduler with a virtual clock, and lie."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hatester.guests.console import Console
from hatester.guests.guest import Guest
from provision.guest.plan import Plan
from provision.guest.protocol import encode
from tests.factories.guest_accounts import Account

RELEASE = "6.1.0-1-cloud-amd64"
Action = bytes | float | Exception | None
"""What a guest does next: it sends, takes a while, breaks the connection, or stalls for ever."""
Lie = Callable[[list[Any], random.Random], Iterable[Action]]
"""What becomes of an honest account: a list of events."""


class Scheduler:
    """Threads of which one runs at a time, and a clock that moves when all of them wait."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self._condition = threading.Condition()
        self._due: dict[int, tuple[float, float]] = {}
        self._tickets = itertools.count()
        self._turn: int | None = None

    def monotonic(self) -> float:
        """Return the time, as the module `time` does."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let others run for so many seconds of the clock."""
        with self._condition:
            ticket = self._wait(seconds)
            self._pass_on()
            self._condition.wait_for(lambda: self._turn == ticket)

    def pool(self, count: int, *_: object) -> Pool:
        """Return a pool of so many threads, all of which must be used."""
        return Pool(self, count)

    def start(self, functions: Iterable[Callable[[], None]]) -> None:
        """Run functions, each in a thread."""
        with self._condition:
            for function in functions:
                ticket = self._wait(0.0)
                threading.Thread(target=self._run, args=(ticket, function), daemon=True).start()
            self._pass_on()

    def _run(self, ticket: int, function: Callable[[], None]) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._turn == ticket)
        try:
            function()
        finally:
            with self._condition:
                self._pass_on()

    def _wait(self, seconds: float) -> int:
        ticket = next(self._tickets)
        self._due[ticket] = (self.now + seconds, self.random.random())
        return ticket

    def _pass_on(self) -> None:
        """Let the thread that is due first run."""
        self._turn = min(self._due, key=lambda ticket: self._due[ticket], default=None)
        if self._turn is not None:
            due, _ = self._due.pop(self._turn)
            self.now = max(self.now, due)
        self._condition.notify_all()


class Pool:
    """An executor whose threads take turns."""

    def __init__(self, scheduler: Scheduler, count: int) -> None:
        self._scheduler = scheduler
        self._count = count
        self._functions: list[Callable[[], None]] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[[], None]) -> Future[None]:
        """Run a function when as many are there as there are threads."""
        future: Future[None] = Future()

        def run() -> None:
            try:
                function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        self._functions.append(run)
        if len(self._functions) == self._count:
            self._scheduler.start(self._functions)
        return future


class SimulatedChannel:
    """The way to a simulated guest's program, as paramiko's channel is one."""

    def __init__(self, guest: SimulatedGuest) -> None:
        self._guest = guest
        self._timeout = 0.0
        self._actions: Iterator[Action] = iter(())
        self._rest = b""
        self._is_over = False
        self.received = 0

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def sendall(self, data: bytes) -> None:
        self._guest.scheduler.sleep(0.001)
        if self._is_over:
            raise OSError("the connection is closed")
        if data.strip():
            self._actions = iter(self._guest.act(Plan.of(data.decode())))

    def recv(self, size: int) -> bytes:
        """Return the next bytes from the guest, when it sends them."""
        scheduler, deadline = self._guest.scheduler, self._guest.scheduler.now + self._timeout
        while not self._rest:
            action = None if self._is_over else next(self._actions, b"")
            if action is None:
                scheduler.sleep(max(deadline - scheduler.now, 0.0))
                raise TimeoutError
            if isinstance(action, Exception):
                self._is_over = True
                raise action
            if isinstance(action, float):
                left = deadline - scheduler.now
                scheduler.sleep(max(min(action, left), 0.0))
                if action > left:
                    self._actions = itertools.chain([action - left], self._actions)
                    raise TimeoutError
                continue
            if not action:
                self._is_over = True
                return b""
            self._rest = action
        chunk, self._rest = self._rest[:size], self._rest[size:]
        self.received += len(chunk)
        scheduler.sleep(0.0001)
        return chunk


class SimulatedGuest(Guest):
    """A guest without a machine. It accounts for each cell honestly, unless there is a lie for it.

    `lies` are by the place of a cell in its guest's tree, `seen` collects what was sent.
    """

    def __init__(self, machine: str, kernel: str, world: World) -> None:
        self.machine = machine
        self.scheduler = world.scheduler
        self.is_lost = False
        self.accelerator = "tcg"
        kit = SimpleNamespace(release=RELEASE, version="6.1.1-1")
        self.image = cast(Any, SimpleNamespace(kit=kit))
        self.console = Console(Path("/nowhere/console.log"))
        self._world = world
        self._kernel = kernel
        self._channel = SimulatedChannel(self)
        world.channels.append(self._channel)

    def __enter__(self) -> SimulatedGuest:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def engine(self) -> Any:
        return SimpleNamespace(clock="real", is_virtual=False, cpus=2)

    @property
    def folder(self) -> Path:
        return Path("/nowhere")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        yield

    def act(self, plan: Plan) -> Iterable[Action]:
        """Return its actions on a plan."""
        key = cell_key(self._kernel, plan)
        account = Account(plan, RELEASE, random.Random(key)).events()
        lie = self._world.lies.get(key)
        return lie(account, self.scheduler.random) if lie else honest(account)

    def server(self) -> Any:
        return self._channel

    def last_words(self) -> str:
        return "QEMU runs; the end of its console:\nLinux version"

    def complaint(self) -> str:
        return self.last_words()

    def log_command(self, command: str) -> None:
        assert isinstance(command, str)

    def is_fit(self) -> bool:
        return not self.is_lost


class World:
    """The state that the simulated guests of a run share."""

    def __init__(self, seed: int, lies: dict[str, Lie]) -> None:
        self.scheduler = Scheduler(seed)
        self.lies = lies
        self.channels: list[SimulatedChannel] = []

    def start(self, machine: str) -> Guest:
        """Start a guest, which takes a while."""
        self.scheduler.sleep(self.scheduler.random.uniform(1.0, 20.0))
        return SimulatedGuest(machine, machine.partition("-")[0], self)


def cell_key(kernel: str, plan: Plan) -> str:
    """Return a cell's key among those of its run: kernel, build and method."""
    return f"{kernel}/{Path(plan.tree).name}/{plan.method}"


def sent(event: Any) -> bytes:
    """Return an event, or its content, as a line."""
    return encode(event).encode() + b"\n"


def honest(events: list[Any]) -> Iterator[Action]:
    """Send events, each after a while."""
    for event in events:
        yield event.seconds
        yield sent(event.event)
