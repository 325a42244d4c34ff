"""The clients that a plan has beside the prober, in processes of their own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from provision.guest.client_event_loop import Loop
from provision.guest.client_records import ClientRecords, Probe
from provision.guest.clock import GRID_SECONDS, following
from provision.guest.connections import Target
from provision.guest.handshakes import TlsClient
from provision.guest.keep_alive import KeptConnection
from provision.guest.plan import Destination, PlannedClients
from provision.guest.prober import Prober
from provision.guest.sessions import HeldSession, Sessions

FRESH = ("load", "sparse")
"""The kinds that make a fresh connection each time, as the prober does."""
WEBSOCKET = "websocket"
"""The answer of a destination whose sessions are WebSockets."""


class Clients:
    """The clients of a plan; `find` returns the target of a destination.

    A connection or a request may take `life` seconds. Times are seconds on the monotonic clock
    since `origin`.
    """

    def __init__(
        self,
        planned: Sequence[PlannedClients],
        find: Callable[[Destination], Target],
        site: str,
        life: float,
        origin: float,
    ) -> None:
        self._planned = planned
        self._find = find
        self._site = site
        self._life = life
        self._origin = origin
        labels = (each.label for group in planned for each in group.destinations)
        self._addresses = tuple(dict.fromkeys(labels))

    def programs(self) -> Mapping[str, tuple[Callable[[Connection], None], float]]:
        """Return what each process runs, by its kind, and how long its end may take.

        It runs until its parent says anything or goes, and then sends it a mapping of records.
        """
        found: dict[str, tuple[Callable[[Connection], None], float]] = {}
        for group in self._planned:
            if group.kind in FRESH:
                # What waits for the next connection has to be seen, too.
                life = self._life + 2 * group.interval
                found[group.kind] = (partial(self._probe, group, life), life)
        if len(found) < len(self._planned):
            found["clients"] = (self._run, self._life)
        return found

    def records(self, received: Mapping[str, Mapping[str, Any]]) -> ClientRecords:
        """Return the records that the processes have sent, as a part of Evidence."""
        fresh: dict[str, Any] = {}
        for group in self._planned:
            if group.kind in FRESH:
                places = [self._addresses.index(each.label) for each in group.destinations]
                probes = received[group.kind]["probes"]
                fresh[group.kind] = tuple(Probe(places[at], *rest) for at, *rest in probes)
        return ClientRecords(self._addresses, **received.get("clients", {}), **fresh)

    def _probe(self, group: PlannedClients, life: float, parent: Connection) -> None:
        """Run a prober; it has to be made in its own process, which keeps no other files."""
        targets = [self._find(each) for each in group.destinations]
        Prober(targets, group.interval, life, self._origin, is_followed=False).run(parent)

    def _run(self, parent: Connection) -> None:
        """Run all clients that keep something from one request to the next."""
        gc.disable()  # its pauses would delay them, and there is little to collect
        loop = Loop(self._origin)
        kept: list[KeptConnection] = []
        secured: list[TlsClient] = []
        sessions: list[Sessions] = []
        start = following(loop.now(), 0.0, GRID_SECONDS)
        for group in self._planned:
            if group.kind == "keep-alive":
                kept += self._keep_alive(loop, group, start)
            elif group.kind == "tls":
                secured += self._secure(loop, group, start)
            elif group.kind == "sessions":
                sessions.append(self._hold(loop, group, start))
        loop.run(
            parent,
            lambda: any(each.is_busy for each in kept) or any(each.is_busy for each in secured),
            self._life,
        )
        parent.send(
            {
                "requests": _in_order(each.requests for each in kept),
                "idle_ends": tuple(end for each in kept for end in each.idle_ends),
                "sessions": tuple(one for each in sessions for one in each.records()),
                "handshakes": _in_order(each.handshakes for each in secured),
            }
        )

    def _keep_alive(self, loop: Loop, group: PlannedClients, start: float) -> list[KeptConnection]:
        targets = self._targets(group) * group.connections
        kept = [
            KeptConnection(loop, *each, self._site, self._life, group.latency) for each in targets
        ]
        for number, each in enumerate(kept):
            # They take turns.
            loop.every(group.interval, start + group.interval * number / len(kept), each.ask)
        return kept

    def _secure(self, loop: Loop, group: PlannedClients, start: float) -> list[TlsClient]:
        clients = [TlsClient(loop, *each, self._site, self._life) for each in self._targets(group)]
        for each in clients:
            loop.every(group.interval, start, each.connect)
        return clients

    def _hold(self, loop: Loop, group: PlannedClients, start: float) -> Sessions:
        def open_one(place: int) -> HeldSession:
            index, target = targets[place]
            is_websocket = group.destinations[place].answer == WEBSOCKET
            return HeldSession(loop, index, target, self._site, self._life, is_websocket)

        targets = self._targets(group)
        sessions = Sessions(loop, group.interval, open_one)

        def begin(_: float) -> None:
            sessions.begin(len(targets), group.connections)

        if group.every is None:
            loop.at(start, lambda: begin(start))
        else:
            loop.every(group.every, start, begin)
        return sessions

    def _targets(self, group: PlannedClients) -> list[tuple[int, Target]]:
        """Return the targets of clients, each with its index among all addresses."""
        return [
            (self._addresses.index(each.label), self._find(each)) for each in group.destinations
        ]


def _in_order(records: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    """Return records in the order in which they were due."""
    return tuple(sorted((one for each in records for one in each), key=lambda one: one.due))
