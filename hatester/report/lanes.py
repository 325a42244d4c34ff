"""Lanes: what became of an address in the whole of a cell, as a drawing shows it.

Times are seconds on the guest's monotonic clock since the cell began.
"""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from hatester.analysis.client_losses import Sent
from hatester.analysis.reload_model import ReloadResult
from hatester.analysis.timeline import Phase, Timeline, holdings, phases
from provision.guest.protocol import TakenStep

_WILDCARDS = ("*", "0.0.0.0", "::", "")


@dataclass(frozen=True)
class Streak:
    """Connections in a row that ended alike, from when the first was made to the next streak's."""

    outcome: str
    is_expected: bool
    start: float
    end: float
    count: int


@dataclass(frozen=True)
class Mark:
    """A step, or several alike in quick succession, by the number of the first and the last."""

    first: int
    last: int
    verb: str
    what: str
    start: float
    end: float

    @property
    def text(self) -> str:
        return f"{self.verb} {self.what}".rstrip()


def marks(steps: Sequence[TakenStep], closest: float) -> list[Mark]:
    """Return the steps; those that are alike and less than `closest` seconds apart are one mark."""
    found: list[Mark] = []
    for step in steps:
        mark = Mark(step.step, step.step, step.verb, step.what or "", step.at, step.at)
        if found and found[-1].text == mark.text and mark.start - found[-1].end < closest:
            found[-1] = replace(found[-1], last=mark.last, end=mark.end)
        else:
            found.append(mark)
    return found


def streaks(timeline: Timeline, label: str, idle: Sequence[tuple[float, float]]) -> list[Streak]:
    """Return an address's streaks, in order of time; `idle` is when it need not answer."""
    return find_streaks(timeline.by_address.get(label, ()), timeline.interval, idle)


def find_streaks(
    connections: Sequence[Sent], last: float, idle: Sequence[tuple[float, float]]
) -> list[Streak]:
    """Return the streaks of connections in order of time; the last one lasts `last` seconds."""
    kinds = [
        (each.outcome, not any(start <= each.sent < end for start, end in idle))
        for each in connections
    ]
    found: list[Streak] = []
    for (outcome, is_expected), group in itertools.groupby(
        zip(kinds, connections, strict=True), key=lambda each: each[0]
    ):
        sent = [each.sent for _, each in group]
        found.append(Streak(outcome, is_expected, sent[0], sent[-1] + last, len(sent)))
    return [
        Streak(run.outcome, run.is_expected, run.start, following.start, run.count)
        for run, following in itertools.pairwise(found)
    ] + found[-1:]


def idle_times(
    timeline: Timeline, reloads: Sequence[ReloadResult], label: str
) -> list[tuple[float, float]]:
    """Return start and end of the times in which an address is not expected to answer.

    That is before HAProxy is started, after a start or reload in which it need not answer, and
    from its removal to the next start or reload.
    """
    loads = _loads(timeline, reloads)
    removals = [step for step in timeline.steps if step.verb == "remove"]
    taken = [step.at for step in removals if _takes(step.what or "", label)]
    found = [(-math.inf, loads[0][0] if loads else math.inf)]
    for (start, expected), following in itertools.zip_longest(loads, loads[1:]):
        end = following[0] if following else math.inf
        if label not in expected:
            found.append((start, end))
        elif gone := [at for at in taken if start <= at < end]:
            found.append((gone[0], end))
    return found


def _loads(
    timeline: Timeline, reloads: Sequence[ReloadResult]
) -> list[tuple[float, Collection[str]]]:
    """Return when HAProxy was started and reloaded, and which addresses should answer then."""
    judged = {reload.step: [*reload.expected] for reload in reloads}
    found: list[tuple[float, Collection[str]]] = [
        (step.at, timeline.configurations.get(step.what or "", ()))
        for step in timeline.steps
        if step.verb == "start"
    ]
    for reload in timeline.reloads:
        bound = timeline.configurations.get(reload.config, ())
        there = [label for label in bound if label in reload.present]
        found.append((reload.at, judged.get(reload.step, there)))
    return sorted(found, key=lambda each: each[0])


def _takes(what: str, label: str) -> bool:
    """Return whether removing an address, or the interface, takes this one away."""
    address = label.rpartition(":")[0]
    try:
        removed = str(ipaddress.ip_interface(what).ip)
    except ValueError:
        return address not in _WILDCARDS
    return removed == address


def owners(timeline: Timeline, label: str) -> list[Phase]:
    """Return the successive owners of an address's listener, in words that fit each reload.

    Owners before the first reload are in that one's words. After the last sample of the listeners,
    they are not known.
    """
    first = min((each.start for each in timeline.listeners), default=0.0)
    ends = [each.end for each in timeline.listeners] + [each.end for each in timeline.processes]
    last = max(ends, default=first)
    edges = [first, *(reload.at for reload in timeline.reloads[1:]), last]
    return [
        phase
        for reload, (start, end) in zip(timeline.reloads, itertools.pairwise(edges), strict=False)
        for phase in phases(timeline, holdings(timeline, reload, label), start, end)
    ]
