"""Plans for guests: an order of the run, as the program in a guest takes it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hatester.guests.guest import build_root
from hatester.matrix import plan as plans
from hatester.matrix.clients import Clients
from hatester.matrix.declarations import Setting
from hatester.matrix.scenario import MADE, Checks, Scenario, path_in_root
from hatester.matrix.steps import Check, Reload, Restart, Run, Start, Wait
from hatester.runner.guest_clients import destination, plan_clients, plan_datagrams
from hatester.runner.guest_steps import planned_steps
from hatester.runner.seed import draw
from provision.guest.plan import REPORT_SECONDS, Plan, RootContent, ServerAnswers

CONNECTION_SECONDS = 5.0
"""Of one connection, a check's or a probe's: longer than HAProxy's bind retries, so that their end
is seen."""
PROBE_INTERVAL = 0.02
"""Seconds between two probes of an address, unless the user or the scenario asks for others."""
RELOAD_SECONDS = 60.0
"""For which a reload may be observed (provision/guest/observation.py has the bounds)."""
REST_SECONDS = 64.0
"""At least, before a cell on the virtual clock, where idle time costs little: Linux forgets the
closed connections of the cell before (TCP_TIMEWAIT_LEN of include/net/tcp.h is 60 s). The cell
begins at a multiple of it."""
START_SECONDS = 60.0
"""For a further start of HAProxy, or a command of the shell."""
SPARE_SECONDS = 400.0
"""For the rest of a sequence: starting HAProxy and ending it."""


@dataclass(frozen=True)
class Order:
    """A cell that is to be measured: a scenario, and how."""

    build: str
    setting: Setting
    scenario: Scenario
    method: str
    seed: int = 0
    """Decides everything that chance would decide; see `seed.py`."""
    upgrade_to: str = ""
    """The build of an upgrade whose step names none."""
    probe_interval: float | None = None
    """Seconds; None for the scenario's own, or else PROBE_INTERVAL."""
    clients: Clients = field(default_factory=Clients)
    """Clients in addition to the scenario's own, or in their place."""

    @classmethod
    def of(cls, plan: plans.Plan, cell: plans.Cell) -> Order:
        """Return the order for a cell of a plan."""
        return cls(
            build=cell.build,
            setting=plan.matrix.settings[cell.setting],
            scenario=plan.scenarios[cell.scenario],
            method=cell.method,
            upgrade_to=plan.matrix.builds[cell.build].upgrade_to or "",
        )


def guest_plan(order: Order, clock: str) -> Plan:
    """Return an order as the guest's program takes it, with nothing left to look up."""
    scenario = order.scenario
    drawn = draw(order.seed, len(scenario.steps), len(scenario.binds))
    steps = planned_steps(scenario, order.setting, order.upgrade_to)
    interfaces = {scenario.interface: scenario.addresses, **scenario.interfaces}
    return Plan(
        seed=order.seed,
        race=drawn.race,
        rest=REST_SECONDS if clock == "virtual" else 0.0,
        tree=build_root(order.build),
        method=order.method,
        arguments=_arguments(order),
        takeover=list(order.setting.takeover),
        report_seconds=scenario.report_within,
        sysctls={**scenario.sysctls, **order.setting.sysctls},
        lenient=order.setting.lenient,
        nofile=order.setting.nofile or scenario.nofile,
        unit=dict(order.setting.unit),
        interface=scenario.interface,
        interfaces={name: list(addresses) for name, addresses in interfaces.items()},
        root=root_content(scenario.files, scenario.root.model_dump(mode="json"), scenario.env),
        servers=list(scenario.servers),
        answers=server_answers(scenario.checks),
        site=scenario.site,
        destinations=[destination(bind, scenario) for bind in scenario.binds],
        steps=[
            dataclasses.replace(step, delay=delay, order=asked)
            for step, delay, asked in zip(steps, drawn.delays, drawn.orders, strict=True)
        ],
        probe_interval=order.probe_interval or scenario.probe_interval or PROBE_INTERVAL,
        connection_seconds=CONNECTION_SECONDS,
        seconds=plan_seconds(scenario),
        hold=False,
        clients=plan_clients(scenario.clients.with_more(order.clients), scenario),
        datagrams=plan_datagrams(scenario),
    )


def _arguments(order: Order) -> list[str]:
    """Return HAProxy's arguments.

    `-db` keeps a master from becoming a daemon, as packaged configurations have it. The images of
    HAProxy's maintainers start it so as well (`haproxy -W -db`).
    """
    is_daemon = any(
        re.search(r"^\s*daemon\b", each.text, re.MULTILINE)
        for each in order.scenario.configurations.values()
    )
    foreground = ["-db"] if is_daemon and order.method in ("signal", "cli") else []
    peer = ["-L", order.scenario.peer] if order.scenario.peer else []
    return [*order.scenario.arguments, *order.setting.arguments, *foreground, *peer]


def root_content(
    files: Mapping[str, str], others: Mapping[str, list[str]], env: Mapping[str, str]
) -> RootContent:
    """Return the content of HAProxy's root, by a scenario's files.

    Each is put at its own path; those that are `made` give way to files of the build. `others` are
    folders, users, groups and hosts.
    """
    own, made = {}, {}
    for name, text in files.items():
        if name.startswith(MADE):
            made[path_in_root(name)] = text
        else:
            own[path_in_root(name)] = text
    return RootContent(files=own, made=made, env=dict(env), **others)


def server_answers(checks: Checks) -> ServerAnswers:
    """Return the answers of the servers that are played."""
    return ServerAnswers(**checks.model_dump(mode="json"))


def plan_seconds(scenario: Scenario) -> int:
    """Return how long a sequence may take in the guest, if everything takes as long as it may."""
    seconds = SPARE_SECONDS
    for step in scenario.steps:
        seconds += step.after if isinstance(step.after, float) else 0.0
        if isinstance(step, Reload | Restart):
            seconds += RELOAD_SECONDS + scenario.report_within - REPORT_SECONDS
        elif isinstance(step, Start | Run):
            seconds += START_SECONDS
        elif isinstance(step, Wait) and isinstance(step.until, float):
            seconds += step.until
        elif isinstance(step, Check):
            seconds += 2 * CONNECTION_SECONDS * len(scenario.binds)
    return int(seconds)
