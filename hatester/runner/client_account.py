"""The records of a guest's clients, held against the plan of the cell."""

from __future__ import annotations

from collections.abc import Sequence

from hatester.guests.messages import GuestFault
from provision.guest.client_records import ClientRecords
from provision.guest.plan import PlannedClients

_ROUNDING = 1e-3
"""Seconds by which times that are rounded may differ."""


def require(is_so: object, fault: str) -> None:
    """Raise GuestFault unless something is so."""
    if not is_so:
        raise GuestFault(fault)


def require_clients(planned: Sequence[PlannedClients], records: ClientRecords) -> None:
    """Raise GuestFault where records are of other clients than were planned, or impossible."""
    by_kind = {
        "keep-alive": {
            *(each.destination for each in records.requests),
            *(each.destination for each in records.idle_ends),
        },
        "sessions": {each.destination for each in records.sessions},
        "tls": {each.destination for each in records.handshakes},
        "load": {each.destination for each in records.load},
        "sparse": {each.destination for each in records.sparse},
    }
    labels = {each.kind: {to.label for to in each.destinations} for each in planned}
    for kind, found in by_kind.items():
        require(
            max(found, default=-1) < len(records.addresses), f"asked an unknown address by {kind}"
        )
        asked = {label for place, label in enumerate(records.addresses) if place in found}
        require(asked <= labels.get(kind, set()), f"asked other addresses by {kind} than planned")
    for due, sent, ended in _requests(records):
        require(
            due - _ROUNDING <= sent <= ended + _ROUNDING,
            f"has a request due at {due:g} s, sent at {sent:g} s, and ended at {ended:g} s",
        )
    for session in records.sessions:
        require(
            session.opened <= session.ended + _ROUNDING,
            f"has a session from {session.opened:g} s to {session.ended:g} s",
        )


def latest(records: ClientRecords) -> list[float]:
    """Return when each record ended."""
    ended = [ended for _, _, ended in _requests(records)]
    ended += [each.ended for each in records.sessions]
    return ended + [each.at for each in records.idle_ends]


def _requests(records: ClientRecords) -> list[tuple[float, float, float]]:
    """Return when each request was due, sent and ended."""
    return [
        *((each.due, each.sent, each.ended) for each in records.requests),
        *((each.due, each.sent, each.ended) for each in records.handshakes),
        *((each.due, each.sent, each.ended) for each in (*records.load, *records.sparse)),
    ]
