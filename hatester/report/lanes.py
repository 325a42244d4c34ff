"""Lanes: what became of an address in the whole of a cell, as a drawing shows it.

They are of the prober and of the clients beside it, and of the holders of its listener.

Times are seconds on the guest's monotonic clock since the cell began.
"""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hatester.analysis.client_losses import Request, requests
from hatester.analysis.reload_model import ReloadResult
from hatester.analysis.timeline import Phase, Timeline, holdings, phases
from provision.guest.protocol import TakenStep

_DIGITS = 1
"""Of seconds: sessions whose ends differ by less are drawn together."""
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


def streaks(
    connections: Sequence[Request], last: float, idle: Sequence[tuple[float, float]]
) -> list[Streak]:
    """Return the streaks of connections in order of time; the last one lasts `last` seconds.

    `idle` is when the address need not answer.
    """

    def kind(each: Request) -> tuple[str, bool]:
        return each.outcome, not any(start <= each.sent < end for start, end in idle)

    found: list[Streak] = []
    for (outcome, is_expected), group in itertools.groupby(connections, kind):
        sent = [each.sent for each in group]
        if found:
            found[-1] = replace(found[-1], end=sent[0])
        found.append(Streak(outcome, is_expected, sent[0], sent[-1] + last, len(sent)))
    return found


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
    edges = [first, *(reload.at for reload in timeline.reloads[1:]), timeline.last_sample]
    return [
        phase
        for reload, (start, end) in zip(timeline.reloads, itertools.pairwise(edges), strict=False)
        for phase in phases(timeline, holdings(timeline, reload, label), start, end)
    ]


class SessionGroup(NamedTuple):
    """Sessions that began, and ended, together; `end` is as of Session."""

    opened: float
    ended: float
    end: str
    number: int


def client_streaks(
    timeline: Timeline, label: str, idle: Sequence[tuple[float, float]]
) -> Mapping[str, Sequence[Streak]]:
    """Return the streaks of an address's requests, by the kind of client."""
    found = {}
    for kind, every in requests(timeline.clients).items():
        sent = [each for each in every if timeline.clients.addresses[each.destination] == label]
        if sent:
            found[kind] = streaks(sent, sent[-1].ended - sent[-1].sent, idle)
    return found


def certificates(timeline: Timeline, label: str) -> list[tuple[float, str]]:
    """Return since when an address showed which certificate, by the names of their files."""
    found: list[tuple[float, str]] = []
    for each in timeline.clients.handshakes:
        if each.certificate and timeline.clients.addresses[each.destination] == label:
            name = timeline.certificates.get(each.certificate, each.certificate)
            if not found or found[-1][1] != name:
                found.append((each.sent, name))
    return found


def sessions(timeline: Timeline, label: str) -> list[SessionGroup]:
    """Return the sessions with an address, in the order in which they were opened."""
    groups = Counter(
        (round(each.opened, _DIGITS), round(each.ended, _DIGITS), each.end)
        for each in timeline.clients.sessions
        if timeline.clients.addresses[each.destination] == label
    )
    return [SessionGroup(*group, count) for group, count in sorted(groups.items())]
