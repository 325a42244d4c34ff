"""A guest with a made-up clock: what is recorded, HAProxy, and what is around it."""

from __future__ import annotations

import heapq
import io
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from provision.guest.cell_setup import CellSetup
from provision.guest.clock import Clock
from provision.guest.connections import Target
from provision.guest.events import Events
from provision.guest.plan import (
    REPORT_SECONDS,
    Destination,
    Plan,
    PlannedStep,
    RootContent,
    ServerAnswers,
)
from provision.guest.prober import News
from provision.guest.recorder import Recorder, View
from provision.guest.reload_requests import ReloadRequest
from provision.guest.sequence import Sequence

SUCCESS = "[NOTICE] (1) : Loading success."
FAILURE = "[WARNING] (1) : Loading failure!"
PAUSED = "[WARNING] (1) : Paused frontend main."
_POLL_SECONDS = 0.025


class MadeUpClock(Clock):
    """A clock that moves only while somebody waits; actions happen at their moments."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self._now = 0.0
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        heapq.heappush(self._actions, (moment, next(self._numbers), action))

    def sleep_until(self, moment: float) -> None:
        while self._actions and self._actions[0][0] <= moment:
            due, _, action = heapq.heappop(self._actions)
            self._now = max(self._now, due)
            action()
        self._now = max(self._now, moment)


class MadeUpRecorder(View):
    """A recorder whose targets are as a test says; all are answered at first."""

    def __init__(self, clock: MadeUpClock, targets: int = 1) -> None:
        super().__init__(targets, clock.now)
        sampling = {"interval": 0.05, "samples": 1, "cpu_seconds": 0.1, "seconds": 1.0}
        self.listeners = {
            "listeners": [], "dormant": [], "processes": [], "usage": [], "sampling": sampling,
        }  # fmt: skip
        probing = {"cpu_seconds": 0.1, "seconds": 1.0, "processors": 1}
        self.probes = {"probes": [], "probing": probing}
        self.is_stopped = False
        self._clock = clock
        self._outcomes = dict.fromkeys(range(targets), ("ok", 0.0))

    def become(self, outcome: str, target: int = 0) -> None:
        """Have probes of a target end differently from now on."""
        self._outcomes[target] = (outcome, self.now())

    def write(self, *lines: str) -> None:
        """Have HAProxy write lines to its log."""
        self.add_log("".join(f"{line}\n" for line in lines).encode())

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = self.now() + seconds
        while True:
            now = self.now()
            is_answered = any(outcome == "ok" for outcome, _ in self._outcomes.values())
            runs = {t: (outcome, since, now) for t, (outcome, since) in self._outcomes.items()}
            self.add_news(News(runs, now if is_answered else None))
            if condition():
                return True
            if now > deadline:
                return False
            self._clock.sleep_until(now + _POLL_SECONDS)

    def stop(self) -> None:
        self.is_stopped = True


class MadeUpHost:
    """The host's end of a sequence's files; it answers each event at once."""

    def __init__(self, answers: str = "\n" * 100) -> None:
        self.answers = io.StringIO(answers)
        self._events = io.StringIO()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, without signs of life."""
        found = map(json.loads, self._events.getvalue().splitlines())
        return [event for event in found if event["event"] != "alive"]

    def sequence(self, plan: Plan, setup: CellSetup) -> Sequence:
        """Return the sequence of a plan that reports to this host."""
        return Sequence(plan, self.answers, Events(self._events), setup)


class MadeUpGuest:
    """A guest in which a sequence can be run; `done` has what it did, and when."""

    def __init__(self, targets: int = 1) -> None:
        self.clock = MadeUpClock()
        self.recorder = MadeUpRecorder(self.clock, targets)
        self.done: list[tuple[float, str]] = []
        self.failing: dict[str, Exception] = {}
        """What is raised instead, by what is to be done."""
        self.reports: list[tuple[float, str]] = [(0.5, SUCCESS)] * 100
        """After how many seconds each reload is reported, and how."""
        self.processes = [7]
        self.seconds: dict[str, float] = {}
        """That a connection of a check takes, by its label."""

    def do(self, what: str) -> None:
        """Note that something was done."""
        self.done.append((round(self.clock.now(), 3), what))
        if what in self.failing:
            raise self.failing[what]

    def when(self, what: str) -> list[float]:
        """Return the moments at which something was done."""
        return [at for at, each in self.done if each == what]

    def setup(self) -> CellSetup:
        """Return the objects that a sequence acts on."""
        names = (
            "make", "end", "add", "remove", "occupy", "free", "break_", "mend", "drop", "pass_",
        )  # fmt: skip
        environment = SimpleNamespace(
            set_sysctl=lambda name, value: self.do(f"sysctl {name}={value}"),
            **{name: self._doing(name) for name in names},
        )
        return CellSetup(
            self.clock,
            cast(Any, _Method(self)),
            cast(Any, environment),
            cast(Any, self._servers()),
            lambda _: cast(Recorder, self.recorder),
            self._connect,
        )

    def _servers(self) -> SimpleNamespace:
        return SimpleNamespace(
            start=lambda _: self.do("serve"),
            end=lambda: None,
            command=lambda verb, server: self.do(f"server {verb} {server}"),
        )

    def _doing(self, name: str) -> Callable[..., None]:
        return lambda *what: self.do(" ".join((name, *what)))

    def _connect(self, target: Target, _seconds: float) -> dict[str, Any]:
        started = self.clock.now()
        self.do(f"check {target.label}")
        seconds = self.seconds.get(target.label, 0.001)
        self.clock.sleep_until(started + seconds)
        outcome = {"outcome": "ok", "answer": "with", "errno": None}
        return {**outcome, "started": started, "seconds": seconds}


class _Method:
    """A way of reloading a HAProxy that is not there."""

    def __init__(self, guest: MadeUpGuest) -> None:
        self._guest = guest
        self.masters: set[int] = set()
        self._reports = iter(guest.reports)
        self.haproxy = SimpleNamespace(
            tree=Path("/nowhere"), version="3.2.1",
            prepare=lambda _: [], configure=lambda _: None,
            file=lambda name: Path("/etc/haproxy", name),
            target=lambda each, _: Target(each.label, each.address, each.port, None),
            processes=lambda: guest.processes, second=None,
            launch_second=lambda text: guest.do(f"second {text}"),
        )  # fmt: skip

    def start(self, _places: Iterable[object]) -> None:
        self._guest.do("start")

    def restart(self, _places: Iterable[object]) -> ReloadRequest:
        self._guest.do("restart")
        return self._asked()

    def end(self) -> None:
        self._guest.do("end HAProxy")

    def upgrade(self, tree: Path) -> None:
        self._guest.do(f"upgrade {tree}")

    def ask_master(self, command: str) -> str:
        return f"the answer to {command}"

    def reload(self) -> ReloadRequest:
        self._guest.do("reload")
        return self._asked()

    def _asked(self) -> ReloadRequest:
        seconds, line = next(self._reports)
        clock, recorder = self._guest.clock, self._guest.recorder
        clock.at(clock.now() + seconds, lambda: recorder.write(line))
        return ReloadRequest(is_heard=True)

    def master(self) -> int | None:
        return None

    def show_processes(self) -> str | None:
        return "1 worker"

    def stop(self) -> None:
        self._guest.do("stop")


def plan(*steps: dict[str, Any], **further: Any) -> Plan:
    """Return a plan of two addresses with these steps, each as soon as all is observed."""
    root = RootContent({}, {}, [], [], [], [], {})
    plan = Plan(
        seed=0, race=0.5, rest=0.0, tree="/nowhere", method="signal", arguments=[],
        takeover=[], report_seconds=REPORT_SECONDS, sysctls={}, lenient=False,
        nofile=None, unit={}, interface="dummy0",
        interfaces={"dummy0": []}, root=root,
        servers=[], answers=ServerAnswers({}, {}, [], {}, ""), site="hatester",
        destinations=[
            Destination("a", "192.0.2.1", 80, None, "named"),
            Destination("b", "192.0.2.2", 80, None, "named"),
        ],
        steps=[
            PlannedStep(**{"what": "with", "after": None, "order": [0, 1], **each})
            for each in steps
        ],
        probe_interval=0.02, connection_seconds=5.0, seconds=60, hold=False,
    )  # fmt: skip
    return replace(plan, **further)
