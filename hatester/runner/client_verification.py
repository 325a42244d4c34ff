"""The records of a guest's clients, held against the plan of the cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hatester.analysis.client_losses import Request, requests
from hatester.guests.messages import GuestFault
from provision.guest.client_records import ClientRecords, Session
from provision.guest.clock import GRID_SECONDS
from provision.guest.plan import PlannedClients

_ROUNDING = 1e-3
"""Seconds by which times that are rounded may differ."""


def require(is_so: object, fault: str) -> None:
    """Raise GuestFault unless something is so."""
    if not is_so:
        raise GuestFault(fault)


def require_clients(
    planned: Sequence[PlannedClients], records: ClientRecords, seconds: float
) -> None:
    """Raise GuestFault where records are of other clients than were planned, or impossible.

    All that was asked in the first `seconds` of the clients has a record.
    """
    labels = tuple(dict.fromkeys(to.label for each in planned for to in each.destinations))
    require(
        records.addresses == labels or records == ClientRecords(),
        "has clients of other addresses than planned",
    )
    groups = {each.kind: each for each in planned}
    made = requests(records)
    found: Mapping[str, Sequence[Request | Session]] = {**made, "sessions": records.sessions}
    for kind, each in found.items():
        group = groups.get(kind)
        _require_places(kind, each, labels, group)
        # They begin at a second of the cell that is full, or at a multiple of a longer interval.
        is_due = group and seconds > 2 * max(GRID_SECONDS, group.interval)
        require(each or not is_due, f"asked nobody by {kind}, though that was planned")
    for kind, sent in made.items():
        _require_times(kind, sent)
        if kind in groups:
            _require_number(groups[kind], sent)
    _require_kept(records)
    _require_sessions(records.sessions, groups.get("sessions"))


def latest(records: ClientRecords) -> list[float]:
    """Return when each record ended."""
    ended = [each.ended for sent in requests(records).values() for each in sent]
    ended += [each.ended for each in records.sessions]
    return ended + [each.at for each in records.idle_ends]


def _require_places(
    kind: str,
    found: Sequence[Request | Session],
    labels: Sequence[str],
    group: PlannedClients | None,
) -> None:
    places = {labels.index(to.label) for to in group.destinations} if group else set()
    require(
        {each.destination for each in found} <= places,
        f"asked other addresses by {kind} than planned",
    )


def _require_times(kind: str, sent: Sequence[Request]) -> None:
    for each in sent:
        require(
            each.due - _ROUNDING <= each.sent <= each.ended + _ROUNDING,
            f"has a request due at {each.due:g} s, sent at {each.sent:g} s, and ended at "
            f"{each.ended:g} s",
        )
    due = [each.due for each in sent]
    require(due == sorted(due), f"has requests by {kind} that are out of order")


def _require_number(group: PlannedClients, sent: Sequence[Request]) -> None:
    """Raise GuestFault where an address was asked more often than there was time for."""
    for count in Counter(each.destination for each in sent).values():
        turns = sent[-1].due / group.interval + 1 + _ROUNDING
        require(
            count <= group.connections * turns,
            f"asked an address {count} times by {group.kind} in {sent[-1].due:g} s",
        )


def _require_kept(records: ClientRecords) -> None:
    """Raise GuestFault where more kept connections ended than were made."""
    made = Counter(each.destination for each in records.requests if each.is_first)
    ended = Counter(each.destination for each in records.idle_ends)
    require(ended <= made, "has more ends of kept connections than connections")


def _require_sessions(sessions: Sequence[Session], group: PlannedClients | None) -> None:
    for each in sessions:
        require(
            each.opened <= each.ended + _ROUNDING,
            f"has a session from {each.opened:g} s to {each.ended:g} s",
        )
    if group:
        last = max((each.opened for each in sessions), default=0.0)
        most = group.connections * (1 + (last / group.every + _ROUNDING if group.every else 0))
        for count in Counter(each.destination for each in sessions).values():
            require(count <= most, f"held {count} sessions with an address at {last:g} s")
