"""The account that a guest gives of a cell, held against the plan of the cell.

A claim that cannot be true raises GuestFault.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from hatester.analysis.timeline import require_sound
from hatester.guests.messages import GuestFault
from hatester.runner.client_verification import latest, require, require_clients
from hatester.util.text import brief
from provision.guest.plan import Plan, PlannedStep
from provision.guest.protocol import (
    Begin,
    End,
    Event,
    Evidence,
    Failed,
    GuestCheck,
    Held,
    Next,
    TakenStep,
)

RELOADS = ("reload", "restart")
"""The verbs of steps that are observed."""
SLACK_SECONDS = 60.0
"""By which a guest's time may be ahead at the beginning of a cell."""
_ROUNDING = 1e-3
"""Seconds by which times that are rounded, or measured one after another, may differ."""


class Account:
    """The account that a guest gives of a cell, event by event, held against its plan.

    `pace` is how many seconds may pass in the guest while one passes here.
    """

    def __init__(self, plan: Plan, pace: float) -> None:
        self._plan = plan
        self._pace = pace
        self._start = time.monotonic()
        self._state = "new"
        self._steps: list[TakenStep] = []
        self._last_check = 0
        labels = {each.label for each in plan.destinations}
        self._labels = labels | {each.label for each in plan.datagrams}

    def add(self, event: Event) -> None:
        """Take an event. Raises GuestFault where it cannot be true or cannot come now."""
        before = {
            "begin": ("new",), "tainted": ("new",), "next": ("begun",), "held": ("through",),
            "failed": ("new", "begun", "through", "held"), "end": ("through",), "serving": (),
            "broken": ("new", "begun", "through", "held"),
        }  # fmt: skip
        if event.event == "end" and self._plan.hold:
            before["end"] = ("held",)
        require(self._state in before.get(event.event, ()), f"sent '{event.event}' out of its turn")
        if isinstance(event, Begin):
            self._state = "begun"
        elif isinstance(event, Held):
            require(self._plan.hold, "stays, though it was not asked to")
            self._state = "held"
        elif isinstance(event, Next):
            self._add_next(event)
        elif isinstance(event, Failed):
            self._add_checks(event.checks)
            self._verify(event.evidence)
        elif isinstance(event, End):
            self._verify(event.evidence)
            require(
                event.evidence.ended or len(event.evidence.steps) == len(self._plan.steps),
                "came to its end without having taken all steps",
            )

    def _add_next(self, event: Next) -> None:
        self._steps += event.taken
        self._require_taken(self._steps)
        self._add_checks(event.checks)
        if event.step is None:
            self._state = "through"
        else:
            require(
                event.step == len(self._steps) + 1 <= len(self._plan.steps),
                f"is at step {event.step} after {len(self._steps)} of {len(self._plan.steps)}",
            )

    def _require_taken(self, steps: Sequence[TakenStep]) -> None:
        """Raise GuestFault unless these steps are the first of the plan."""
        require(
            len(steps) <= len(self._plan.steps),
            f"took {len(steps)} steps of {len(self._plan.steps)}",
        )
        for number, (taken, planned) in enumerate(zip(steps, self._plan.steps, strict=False), 1):
            require(
                (taken.step, taken.verb, taken.what) == (number, planned.verb, planned.what),
                f"took step {taken.step}, {taken.verb} {taken.what}, in place of step {number}, "
                f"{planned.verb} {planned.what}",
            )
            self._require_time(taken.at, f"step {number}")

    def _add_checks(self, checks: Sequence[GuestCheck]) -> None:
        for check in checks:
            step = self._planned_step(check.step, "check")
            require(check.step > self._last_check, f"took the check of step {check.step} twice")
            self._last_check = check.step
            reloads = [
                number
                for number, each in enumerate(self._plan.steps[: check.step], start=1)
                if each.verb in RELOADS
            ]
            require(
                check.reload == (reloads[-1] if reloads else None),
                f"checked after the reload of step {check.reload} in step {check.step}",
            )
            asked = {self._plan.destinations[index].label for index in step.order}
            self._require_labels(check.connections, f"the check of step {check.step}")
            require(
                {*check.connections} == asked,
                f"did not ask all addresses in the check of step {check.step}",
            )

    def _planned_step(self, number: int, *verbs: str) -> PlannedStep:
        """Return the step of a number. Raises GuestFault where it has another verb."""
        steps = self._plan.steps
        is_there = 1 <= number <= len(steps) and steps[number - 1].verb in verbs
        require(is_there, f"reports a {verbs[0]} in step {number}, which is none")
        return steps[number - 1]

    def _verify(self, evidence: Evidence) -> None:
        """Raise GuestFault where evidence contradicts the plan, the events, or itself."""
        try:
            require_sound(evidence)
        except ValueError as error:
            raise GuestFault(f"contradicts itself: {error}") from error
        plan = self._plan
        sent = (evidence.interval, evidence.life, [*evidence.addresses])
        labels = [each.label for each in plan.destinations]
        require(
            sent == (plan.probe_interval, plan.connection_seconds, labels),
            "watched other addresses, or otherwise, than was asked for",
        )
        self._require_taken(evidence.steps)
        require(
            [*evidence.steps[: len(self._steps)]] == self._steps,
            "reports other steps than before",
        )
        self._require_reloads(evidence)
        lacking = plan.sysctls if plan.lenient else ()
        require({*evidence.lacking} <= {*lacking}, "lacks a sysctl that was not asked for")
        self._require_starts(evidence)
        for reply in evidence.replies:
            self._planned_step(reply.step, "ask", "run")
        sockets = (*evidence.listeners, *evidence.dormant)
        self._require_labels((each.address for each in sockets), "its listeners")
        seen = {process.pid for process in evidence.processes}
        for used in evidence.usage:
            require(used.pid in seen, f"has what process {used.pid} used, which it has not seen")
        require_clients(plan.clients, evidence.clients, _asked_seconds(evidence))
        self._require_times(evidence)

    def _require_starts(self, evidence: Evidence) -> None:
        """Raise GuestFault where a start that failed was not planned so."""
        ended = evidence.ended
        if ended and ended.is_start:
            step = self._planned_step(ended.step or 0, "start")
            require([*ended.missing] == [*step.missing], "misses other addresses than planned")
        for failed in evidence.failed_starts:
            step = self._planned_step(failed.step, "start")
            received = (True, [*failed.missing])
            require(
                received == (step.may_fail, [*step.missing]),
                f"reports another failed start in step {failed.step} than was planned",
            )

    def _require_reloads(self, evidence: Evidence) -> None:
        earliest = evidence.reloads[0].at if evidence.reloads else 0.0
        for reload in evidence.reloads:
            step = self._planned_step(reload.step, *RELOADS)
            received = (reload.verb, reload.config, [*reload.present], [*reload.in_the_end])
            require(
                received == (step.verb, step.what, [*step.present], [*step.in_the_end]),
                f"reports another reload in step {reload.step} than was planned",
            )
            # Where reloads race, the report of the one before is seen while the next is asked for.
            reported = reload.at if reload.reported_at is None else reload.reported_at
            require(
                earliest - _ROUNDING <= reported <= reload.until + _ROUNDING,
                f"has a report at {reported:g} s for a reload from {reload.at:g} to "
                f"{reload.until:g} s",
            )
            earliest = reload.at

    def _require_labels(self, labels: Iterable[str], where: str) -> None:
        for label in labels:
            require(label in self._labels, f"has {brief(label)} in {where}, which is not watched")

    def _require_times(self, evidence: Evidence) -> None:
        """Raise GuestFault where a time lies outside of the cell."""
        for probe in evidence.probes:
            require(
                probe.due - _ROUNDING <= probe.sent <= probe.ended + _ROUNDING,
                f"has a probe that was due at {probe.due:g} s, sent at {probe.sent:g} s, and ended "
                f"at {probe.ended:g} s",
            )
        moments = [evidence.log[-1].at if evidence.log else 0.0]
        moments += [probe.ended for probe in evidence.probes]
        moments += latest(evidence.clients)
        held = (*evidence.listeners, *evidence.dormant, *evidence.processes)
        moments += [each.end for each in held]
        moments += [each.at for each in evidence.usage]
        moments += [each.until for each in evidence.reloads]
        moments += [evidence.ended.at] if evidence.ended else []
        moments += [each.at for each in evidence.failed_starts]
        moments += [each.at for each in evidence.replies]
        self._require_time(max(moments), "its evidence")
        logged = [line.at for line in evidence.log]
        require(logged == sorted(logged), "has a log that is out of order")

    def _require_time(self, at: float, where: str) -> None:
        passed = (time.monotonic() - self._start + SLACK_SECONDS) * self._pace
        require(
            at <= passed,
            f"has a time of {at:g} s in {where}, of which at most {passed:.0f} s have passed",
        )


def _asked_seconds(evidence: Evidence) -> float:
    """Return for how many seconds clients were there, without the time that a request may take."""
    starts = [step.at for step in evidence.steps if step.verb == "start"]
    ends = [each.until for each in evidence.reloads]
    # Without probes, recording failed.
    return ends[-1] - starts[0] - evidence.life if evidence.probes and starts and ends else 0.0
