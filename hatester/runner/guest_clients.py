"""The clients of a scenario as the program in a guest takes them: the addresses of each kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from hatester.matrix.binds import Bind, datagrams, parse_bind
from hatester.matrix.clients import Clients
from hatester.matrix.scenario import Scenario
from provision.guest.clients import WEBSOCKET
from provision.guest.connections import ANY, CONNECT, NAMED, TLS
from provision.guest.plan import Destination, PlannedClients


def destination(bind: Bind, scenario: Scenario, answer: str | None = None) -> Destination:
    """Return where and how a bind is asked; any address through an interface: at its first."""
    address = bind.target
    if bind.is_wildcard and (addresses := scenario.interfaces.get(bind.interface or "")):
        address = addresses[0].partition("/")[0]
    return Destination(bind.label, address, bind.port, bind.interface, answer or bind.answer)


def plan_datagrams(scenario: Scenario) -> list[Destination]:
    """Return the addresses that configurations bind by UDP, by their labels as they are written."""
    found = {}
    for configuration in scenario.configurations.values():
        for written in datagrams(configuration.text, configuration.env):
            with contextlib.suppress(ValueError):
                bind = parse_bind(written.rpartition("@")[2])
                if bind.place:
                    found[written] = Destination(written, bind.place[0], bind.port, None, CONNECT)
    return [*found.values()]


def plan_clients(clients: Clients, scenario: Scenario) -> list[PlannedClients]:
    """Return the clients beside the prober, without kinds that have nobody to ask.

    Kept requests and sessions go to binds without TLS and PROXY headers. A session is a WebSocket
    where the mode is `http`.
    """
    every: dict[str, Bind] = {}
    for configuration in scenario.configurations.values():
        every = {**{bind.label: bind for bind in configuration.binds}, **every}

    def asked(binds: Iterable[Bind], answer: str | None = None) -> list[Destination]:
        return [destination(bind, scenario, answer) for bind in binds]

    plain = [bind for bind in scenario.binds if bind.answer in (NAMED, ANY)]
    web = scenario.web
    found: list[PlannedClients] = []
    if kept := clients.keep_alive:
        found.append(
            PlannedClients(
                "keep-alive", asked(web), kept.interval, kept.connections, latency=kept.latency
            )
        )
    if held := clients.sessions:
        places = asked(web, WEBSOCKET) + asked((each for each in plain if each not in web), CONNECT)
        found.append(
            PlannedClients("sessions", places, held.interval, held.connections, held.every)
        )
    if tls := clients.tls:
        secure = (bind for bind in scenario.binds if bind.answer == TLS)
        found.append(PlannedClients("tls", asked(secure, ANY), tls.interval))
    if load := clients.load:
        watched = asked(scenario.binds)
        found.append(PlannedClients("load", watched, len(watched) / load.rate))
    if sparse := clients.sparse:
        seldom = asked(every[label] for label in sorted(sparse.labels))
        found.append(PlannedClients("sparse", seldom, sparse.interval))
    return [each for each in found if each.destinations]
