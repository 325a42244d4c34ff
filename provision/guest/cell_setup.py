"""The setup of a cell: the parts of the guest that its sequence uses, made from its plan."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from provision.guest.clients import Clients
from provision.guest.clock import Clock
from provision.guest.connections import Target, connect
from provision.guest.environment import Environment
from provision.guest.haproxy import HAProxy
from provision.guest.mock_servers import MockServers, stopped_servers
from provision.guest.plan import Plan
from provision.guest.recorder import Recorder
from provision.guest.reload_methods import Signal, method_of


class CellSetup(NamedTuple):
    """The parts of a guest that a sequence uses."""

    clock: Clock
    method: Signal
    environment: Environment
    servers: MockServers
    record: Callable[[list[Target]], Recorder]
    connect: Callable[[Target, float], dict[str, Any]] = connect

    @classmethod
    def of(cls, plan: Plan) -> CellSetup:
        """Return the setup that a plan asks for, in this guest, after its rest."""
        clock = Clock.after_rest(plan.rest)
        haproxy = HAProxy(Path(plan.tree), list(plan.arguments), plan.nofile)
        haproxy.unit = dict(plan.unit)
        own = chain(*plan.interfaces.values())
        interval, life = plan.probe_interval, plan.connection_seconds
        datagrams = [haproxy.target(each, plan.site) for each in plan.datagrams]
        clients = Clients(
            plan.clients, lambda each: haproxy.target(each, plan.site), plan.site, life,
            clock.origin,
        )  # fmt: skip
        return cls(
            clock,
            method_of(plan, haproxy),
            Environment(plan.interface, plan.interfaces, haproxy),
            MockServers(plan.servers, own, plan.answers, stopped_servers(plan.steps)),
            lambda targets: Recorder(
                targets, haproxy.tree, interval, life, clock, clients, datagrams
            ),
        )
