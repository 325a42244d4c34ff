"""Accounts of cells, as honest guests give them, made up from nothing but their plans."""

from __future__ import annotations

import random
from typing import NamedTuple

from provision.guest.client_records import Probe
from provision.guest.message_bounds import Outcome
from provision.guest.plan import Plan
from provision.guest.protocol import (
    Begin,
    CheckedConnection,
    End,
    Event,
    Evidence,
    GuestCheck,
    Listener,
    LogLine,
    Next,
    Probing,
    Process,
    Reload,
    Sampling,
    TakenStep,
    Usage,
)
from tests.factories.client_accounts import make_records

_STEP_SECONDS = 2.0
_FAILURES: tuple[tuple[Outcome, float], ...] = (("ok", 0.0), ("reset", 0.9), ("refused", 9.0))
"""How a reload hurts, and for how many seconds."""


class Sent(NamedTuple):
    """An event, and the seconds that pass before it."""

    seconds: float
    event: Event


class Account:
    """A cell in which each step takes two seconds; `choice` says whether a reload hurts."""

    def __init__(self, plan: Plan, release: str, choice: random.Random) -> None:
        self._plan = plan
        self._release = release
        self._outcome, self._seconds = choice.choice(_FAILURES)
        self._at = {number: _STEP_SECONDS * number for number, _ in enumerate(plan.steps, 1)}
        self._end = _STEP_SECONDS * (len(plan.steps) + 2)

    def events(self) -> list[Sent]:
        """Return all that the guest sends."""
        events = [Sent(1.0, Begin(self._release, "3.0.9"))]
        taken: list[TakenStep] = []
        checks: list[GuestCheck] = []
        for number, step in enumerate(self._plan.steps, start=1):
            if checks and step.after is None:
                events.append(Sent(2.0, Next(number, tuple(taken), tuple(checks))))
                taken, checks = [], []
            taken.append(self._taken(number))
            if step.verb == "check":
                checks.append(self._check(number))
        events.append(Sent(2.0, Next(None, tuple(taken), tuple(checks))))
        return [*events, Sent(1.0, End(self._evidence()))]

    def _taken(self, number: int) -> TakenStep:
        step = self._plan.steps[number - 1]
        return TakenStep(number, step.verb, step.what, self._at[number], (f"true {number}",))

    def _reloads(self, last: int) -> list[int]:
        steps = enumerate(self._plan.steps[:last], start=1)
        return [number for number, step in steps if step.verb == "reload"]

    def _check(self, number: int) -> GuestCheck:
        plan = self._plan
        labels = [plan.destinations[index].label for index in plan.steps[number - 1].order]
        found = {label: CheckedConnection("ok", "with", None, 0.01, 0.5) for label in labels}
        reload = max(self._reloads(number), default=None)
        return GuestCheck(number, reload, found)

    def _evidence(self) -> Evidence:
        plan = self._plan
        labels = [each.label for each in plan.destinations]
        return Evidence(
            interval=plan.probe_interval,
            life=plan.connection_seconds,
            addresses=tuple(labels),
            steps=tuple(self._taken(number) for number in self._at),
            reloads=tuple(self._reload(number) for number in self._reloads(len(plan.steps))),
            lacking=(),
            ended=None,
            log=(LogLine(1.0, "[NOTICE] (1) : Loading success."),),
            probes=tuple(self._probes(len(labels))),
            probing=Probing(0.1, self._end, 2),
            listeners=tuple(Listener(0.0, self._end, label, (7,), 0) for label in labels),
            processes=(Process(0.0, self._end, 7, "worker"),),
            sampling=Sampling(0.05, 100, 0.1, self._end),
            dormant=(Listener(0.0, 1.0, labels[0], (7,), 0),),
            usage=(Usage(1.0, 7, 1 << 24, 0.5, 20),),
            clients=make_records(plan.clients, self._end, self._outcome_at),
        )

    def _outcome_at(self, at: float) -> Outcome:
        reloads = self._reloads(len(self._plan.steps))
        is_hurt = any(self._at[each] <= at < self._at[each] + self._seconds for each in reloads)
        return self._outcome if is_hurt else "ok"

    def _reload(self, number: int) -> Reload:
        step, at = self._plan.steps[number - 1], self._at[number]
        return Reload(
            number, step.what or "", tuple(step.present), tuple(step.in_the_end), None, at,
            at + 1.5, "success", at + 0.1, True, None, None, None, {"Tcp.OutRsts": 0},
        )  # fmt: skip

    def _probes(self, count: int) -> list[Probe]:
        interval, loads = self._plan.probe_interval, self._at.items()
        probes = []
        for tick in range(int(self._end / interval)):
            at = tick * interval
            loaded = [
                self._plan.steps[number - 1].what
                for number, moment in loads
                if moment <= at and self._plan.steps[number - 1].verb in ("start", "reload")
            ]
            outcome = self._outcome_at(at)
            answer = loaded[-1] if loaded and outcome == "ok" else None
            probes += [Probe(n, at, at, at + 0.001, outcome, None, answer) for n in range(count)]
        return probes
