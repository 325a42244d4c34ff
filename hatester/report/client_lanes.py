"""What clients beside the prober saw of an address in a cell, as a drawing shows it.

Times are seconds on the guest's monotonic clock since the cell began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hatester.analysis.client_losses import requests
from hatester.analysis.timeline import Timeline
from hatester.report.lanes import Streak, find_streaks

_DIGITS = 1


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
            found[kind] = find_streaks(sent, sent[-1].ended - sent[-1].sent, idle)
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
