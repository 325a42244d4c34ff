"""A cell in a guest: the scenario's steps sent, and what was seen brought back."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import paramiko

from hatester.guests import qmp
from hatester.guests.guest import Guest, build_root
from hatester.matrix.binds import Bind
from hatester.matrix.models import Setting
from hatester.matrix.scenario import MADE, ROOT, Presence, Scenario, presence
from hatester.matrix.steps import Add, Check, Reload, Start, Step, Wait
from hatester.runner import chance
from hatester.runner.external_probe import look
from hatester.util.errors import MeasurementError, tail
from provision.guest.root import ETC

CONNECTION_SECONDS = 5.0
"""Of one connection, a check's or a probe: longer than HAProxy's bind retries, so that their end
is seen."""
PROBE_INTERVAL = 0.02
"""Seconds between two probes of an address, where neither the user nor the scenario asks for
another."""
OUTSIDE_CONNECTIONS = 32
"""At once, from the host; a request that hangs must not keep the next check's waiting."""
RELOAD_SECONDS = 60.0
"""That a reload may be observed (`provision/guest/observation.py` has the bounds)."""
REST_SECONDS = 64.0
"""At least, before a cell on the virtual clock, where idle time costs little: Linux forgets the
closed connections of the cell before (TCP_TIMEWAIT_LEN of include/net/tcp.h is 60 s). The cell
begins at a multiple of it."""
SPARE_SECONDS = 400.0
"""For what a sequence does beside that: starting HAProxy and ending it."""
SILENCE_SECONDS = 120.0
"""After which a guest of which nothing is heard is lost; it gives a sign of life after 15 of its
own (`provision/guest/events.py`)."""


@dataclass(frozen=True)
class Order:
    """What is to be measured: a scenario, and how."""

    build: str
    setting: Setting
    scenario: Scenario
    method: str
    seed: int = 0
    """Of all that chance would decide (`chance.py`)."""
    probe_interval: float | None = None
    """Seconds; None for the scenario's own, or else the default."""


@dataclass
class Evidence:
    """What a cell has brought back so far.

    `release` and `haproxy_version` are what the guest says of itself. `timeline` is the evidence
    for the verdict, as `hatester/analysis/timeline.py` takes it.
    """

    release: str | None = None
    haproxy_version: str | None = None
    timeline: dict[str, Any] = field(default_factory=lambda: {"reloads": [], "checks": []})


_QUOTE = 80
LAST_EVENTS = ("end", "failed", "tainted", "broken")
"""With one of them a sequence ends."""


class Tainted(Exception):
    """The guest is not as it was before its first cell; its message says what it has."""


def guest_plan(order: Order, clock: str) -> dict[str, Any]:
    """An order as the guest's program takes it: nothing left to look up."""
    scenario = order.scenario
    there = presence(scenario)
    drawn = chance.draw(order.seed, len(scenario.steps), len(scenario.binds))
    return {
        "seed": order.seed,
        "race": drawn.race,
        "rest": REST_SECONDS if clock == "virtual" else 0.0,
        "tree": build_root(order.build),
        "method": order.method,
        "arguments": [
            *order.setting.arguments,
            *_in_foreground(order),
            *(["-L", scenario.peer] if scenario.peer else []),
        ],
        "sysctls": dict(order.setting.sysctls),
        "lenient": order.setting.lenient,
        "nofile": order.setting.nofile,
        **_around(scenario),
        "steps": [
            {**_step(order, step, there.get(number)), "delay": delay, "order": asked}
            for number, (step, delay, asked) in enumerate(
                zip(scenario.steps, drawn.delays, drawn.orders, strict=True), start=1
            )
        ],
        "probe_interval": order.probe_interval or scenario.probe_interval or PROBE_INTERVAL,
        "connection_seconds": CONNECTION_SECONDS,
        "seconds": _seconds(scenario),
        "hold": False,
    }


def _around(scenario: Scenario) -> dict[str, Any]:
    """Return what is around HAProxy: interfaces, its root, servers, and who asks."""
    return {
        "interface": scenario.interface,
        "interfaces": {
            scenario.interface: list(scenario.addresses),
            **{name: list(each) for name, each in scenario.interfaces.items()},
        },
        "root": {
            **laid(scenario.files),
            **scenario.root.model_dump(mode="json"),
            "env": dict(scenario.env),
        },
        "servers": list(scenario.servers),
        "checks": scenario.checks.model_dump(mode="json"),
        "site": scenario.site,
        "targets": [
            {
                "label": bind.label,
                "address": _target(bind, scenario),
                "port": bind.port,
                "interface": bind.interface,
                "answer": bind.answer,
            }
            for bind in scenario.binds
        ],
    }


def laid(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return a scenario's files by their paths in HAProxy's root: those that are to be there, and
    those that give way to what the build has."""
    found: dict[str, dict[str, str]] = {"files": {}, "made": {}}
    for name, text in files.items():
        if name.startswith(MADE):
            found["made"][name[len(MADE) - 1 :]] = text
        else:
            path = name[len(ROOT) - 1 :] if name.startswith(ROOT) else f"{ETC}/{name}"
            found["files"][path] = text
    return found


def _target(bind: Bind, scenario: Scenario) -> str:
    """Return where a bind is asked; one of every address, through an interface: at its first."""
    if bind.is_wildcard and (addresses := scenario.interfaces.get(bind.interface or "")):
        return addresses[0].partition("/")[0]
    return bind.target


def _in_foreground(order: Order) -> list[str]:
    """What keeps a master from becoming a daemon, as packaged configurations have it.

    The images of HAProxy's maintainers start it so as well (`haproxy -W -db`).
    """
    is_daemon = any(
        re.search(r"^\s*daemon\b", each.text, re.MULTILINE)
        for each in order.scenario.configurations.values()
    )
    return ["-db"] if is_daemon and order.method in ("signal", "cli") else []


def _step(order: Order, step: Step, there: Presence | None) -> dict[str, Any]:
    told: dict[str, Any] = {"verb": step.verb, "after": step.after}
    match step:
        case Start() | Reload():
            configuration = order.scenario.configurations[step.configuration]
            told |= {
                "what": step.configuration,
                "text": configuration.under(order.setting),
                "places": [bind.place for bind in configuration.binds if bind.place],
                "present": [bind.label for bind in there.throughout] if there else [],
                "finally": [bind.label for bind in there.finally_] if there else [],
            }
        case Wait():
            told["what"] = step.until
        case Add() if step.what != order.scenario.interface:
            told["what"] = str(ipaddress.ip_interface(step.what))
        case Check():
            pass
        case _:
            told["what"] = step.what
    return told


def _seconds(scenario: Scenario) -> int:
    """That the sequence may take in the guest, if everything takes as long as it may."""
    seconds = SPARE_SECONDS
    for step in scenario.steps:
        seconds += step.after if isinstance(step.after, float) else 0.0
        if isinstance(step, Reload):
            seconds += RELOAD_SECONDS
        elif isinstance(step, Check):
            seconds += 2 * CONNECTION_SECONDS * len(scenario.binds)
    return int(seconds)


def measure(guest: Guest, order: Order, evidence: Evidence, at_step: Callable[[int], None]) -> None:
    """Run the steps of a scenario in a guest, watching from within and from outside.

    What was seen goes to `evidence` at once, so that it is there if the rest fails; `at_step` is
    told the number of each step that is next. Raises Tainted when the guest is not clean, and
    MeasurementError when the steps cannot be run to their end.
    """
    scenario = order.scenario
    evidence.timeline |= {"seed": order.seed, "clock": guest.engine.clock}
    evidence.timeline["configurations"] = {
        name: [bind.label for bind in configuration.binds]
        for name, configuration in scenario.configurations.items()
    }
    with (
        guest.reachable("the sequence"),
        qmp.forwarded(guest.folder, scenario.binds) as ports,
        _connections() as pool,
    ):
        channel = _begin(guest, guest_plan(order, guest.engine.clock))
        seconds = _seconds(scenario) + SILENCE_SECONDS
        for event in _events(guest, channel, seconds):
            if event["event"] == "next":
                _tell(guest, event)
                if event["step"]:
                    at_step(event["step"])
                checks = [_check(each) for each in event["checks"]]
                evidence.timeline["checks"] += checks
                if checks:
                    checks[-1]["outside"] = look(pool, _there(ports, checks[-1]))
                channel.sendall(b"\n")
            else:
                _add(evidence, event)


@contextlib.contextmanager
def held(guest: Guest, order: Order, steps: int) -> Iterator[None]:
    """While it is open, the guest stands as it is after so many steps of a scenario, unwatched.

    Raises MeasurementError when it does not get there.
    """
    plan = guest_plan(order, guest.engine.clock)
    plan |= {"steps": plan["steps"][:steps], "hold": True}
    with guest.reachable("the sequence"):
        channel = _begin(guest, plan)
        # The guest bounds what comes before; how long the user stays is theirs.
        events = _events(guest, channel, math.inf)
        for event in events:
            if event["event"] == "held":
                break
            if event["event"] == "next":
                _tell(guest, event)
                channel.sendall(b"\n")
            else:
                _add(Evidence(), event)
    try:
        yield
    finally:
        with guest.reachable("the sequence"):
            channel.sendall(b"\n")
            for event in events:
                _add(Evidence(), event)


def _begin(guest: Guest, plan: Mapping[str, Any]) -> paramiko.Channel:
    """Have the guest's program carry out a plan; what it reports is to be read there."""
    channel = guest.server()
    channel.settimeout(SILENCE_SECONDS)
    channel.sendall(json.dumps(plan).encode() + b"\n")
    return channel


@contextlib.contextmanager
def _connections() -> Iterator[Executor]:
    """Threads for connections from outside; each ends with its connection, which is bounded."""
    pool = ThreadPoolExecutor(OUTSIDE_CONNECTIONS)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _add(evidence: Evidence, event: Mapping[str, Any]) -> None:
    match event["event"]:
        case "begin":
            evidence.release, evidence.haproxy_version = event["release"], event["haproxy"]
        case "tainted":
            raise Tainted(", ".join(event["traces"]))
        case "broken":
            raise MeasurementError(f"the guest's program failed: {tail(event['reason'])}")
        case "failed" | "end":
            evidence.timeline |= event["evidence"]
            if event["event"] == "failed":
                evidence.timeline["checks"] += [_check(each) for each in event["checks"]]
                raise MeasurementError(event["reason"])


def _tell(guest: Guest, event: Mapping[str, Any]) -> None:
    for step in event["taken"]:
        for command in step["commands"]:
            guest.log_command(command)


def _there(ports: Mapping[Bind, int], check: Mapping[str, Any]) -> dict[Bind, int]:
    """The ports of what can be reached in the guest; the rest would only keep silent."""
    outcomes = check["outcomes"]
    return {bind: port for bind, port in ports.items() if outcomes[bind.label] != "unreachable"}


def _check(event: Mapping[str, Any]) -> dict[str, Any]:
    connections = event["connections"]
    return {
        "step": event["step"],
        "reload": event["reload"],
        "at": min(each["at"] for each in connections.values()),
        "outcomes": {label: each["outcome"] for label, each in connections.items()},
        "outside": {},
        "connections": connections,
    }


def _events(guest: Guest, channel: paramiko.Channel, seconds: float) -> Iterator[dict[str, Any]]:
    """What the guest's program reports of one sequence, up to its end.

    Raises MeasurementError, with the guest's last words, when it falls silent, ends itself before
    that or takes longer than so many seconds.
    """
    event: dict[str, Any] = {"event": None}
    line, last = "", "its beginning"
    deadline = time.monotonic() + seconds
    reason, words = "the guest's program ended", guest.complaint
    try:
        for line in channel.makefile("r"):
            event = json.loads(line)
            if event["event"] != "alive":
                last = f"its event '{event['event']}'"
                yield event
            if event["event"] in LAST_EVENTS:
                return
            if time.monotonic() > deadline:
                reason = f"the guest's program did not come to its end within {seconds:.0f} s"
                break
    except TimeoutError:
        # So it would not answer either if it were asked for a log.
        reason, words = f"the guest was silent for {SILENCE_SECONDS:.0f} s", guest.last_words
    except (ValueError, LookupError, TypeError):
        reason = f"the guest's program said '{line[:_QUOTE]}'"
    finally:
        # What it has still to say would be taken for the next sequence's.
        if event["event"] not in LAST_EVENTS:
            guest.is_lost = True
    raise MeasurementError(f"{reason} after {last}: {words()}")
