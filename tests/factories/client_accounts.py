"""The records of clients beside the prober, as honest guests give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from provision.guest.client_records import (
    ClientRecords,
    Handshake,
    IdleEnd,
    KeptRequest,
    Probe,
    Session,
)
from provision.guest.message_bounds import Outcome
from provision.guest.plan import PlannedClients

_START = 1.0


def make_records(
    planned: Sequence[PlannedClients], end: float, outcome: Callable[[float], Outcome]
) -> ClientRecords:
    """Return the records of planned clients from the first second of a cell to its end.

    `outcome` is that of what is sent at a moment.
    """
    labels = tuple(dict.fromkeys(to.label for group in planned for to in group.destinations))
    found: dict[str, Any] = {}
    for group in planned:
        places = [labels.index(to.label) for to in group.destinations]
        due = [
            (place, at, at, at + 0.001, outcome(at))
            for at in _moments(group.interval, end)
            for place in places
        ]
        match group.kind:
            case "keep-alive":
                found["requests"] = tuple(
                    KeptRequest(*each, None, None, number < len(places), each[-1] != "ok")
                    for number, each in enumerate(due)
                )
                found["idle_ends"] = tuple(IdleEnd(place, end, None) for place in places)
            case "tls":
                found["handshakes"] = tuple(
                    Handshake(*each[:3], None, *each[3:], None, None, None, None, None)
                    for each in due
                )
            case "sessions":
                found["sessions"] = tuple(
                    Session(place, opened, end, "alive", None, 1)
                    for opened in _moments(group.every or end, end)
                    for place in places * group.connections
                )
            case _:
                found[group.kind] = tuple(Probe(*each, None, None) for each in due)
    return ClientRecords(labels, **found)


def _moments(interval: float, end: float) -> Iterator[float]:
    return (_START + number * interval for number in range(int((end - _START) / interval) + 1))
