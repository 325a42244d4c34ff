"""A cell in a guest: the scenario's steps sent, and what was seen at each of them brought back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import paramiko

from hatester import monitor, outside
from hatester.configurations import Bind
from hatester.errors import MeasurementError, tail
from hatester.guests import PROGRAM, Guest, build_root
from hatester.matrix import Setting
from hatester.scenarios import Reload, Remove, Scenario, Start, should_answer

CONNECTION_SECONDS = 5.0
"""Of one connection of a check: longer than HAProxy's bind retries, so that their end is seen."""
OUTSIDE_CONNECTIONS = 32
"""At once, from the host; a request that hangs must not keep the next check's waiting."""
SPARE_SECONDS = 240.0
"""For what a sequence does beside waiting and connecting: starting HAProxy and ending it."""


@dataclass
class Evidence:
    """What a cell has brought back so far: plain data, as it goes to `run.json`.

    `release` and `haproxy_version` are what the guest says of itself. `checks` and `reloads` are
    as in `run.json`, times in seconds since the last start or reload. `log` is all that HAProxy
    wrote.
    """

    release: str | None = None
    haproxy_version: str | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    reloads: list[dict[str, Any]] = field(default_factory=list)
    log: str = ""


def guest_plan(build: str, setting: Setting, scenario: Scenario) -> dict[str, Any]:
    """A scenario under a setting as the guest's program takes it: nothing left to look up."""
    expected = should_answer(scenario)
    steps: list[dict[str, Any]] = []
    seconds = SPARE_SECONDS
    for number, step in enumerate(scenario.steps, start=1):
        if isinstance(step, Start | Reload):
            configuration = scenario.configurations[step.configuration]
            ports = sorted({bind.port for bind in configuration.binds})
            text = configuration.under(setting)
            steps.append({"verb": step.verb, "text": text, "ports": ports})
        elif isinstance(step, Remove):
            steps.append({"verb": step.verb, "address": _with_prefix(scenario, step.address)})
        else:
            # What should not answer comes last, so that it cannot delay the rest.
            targets = sorted(scenario.binds, key=lambda bind: bind not in expected[number])
            steps.append(
                {"verb": step.verb, "after": step.after, "targets": [_target(b) for b in targets]}
            )
            seconds += step.after + 2 * CONNECTION_SECONDS * len(targets)
    return {
        "tree": build_root(build),
        "arguments": list(setting.arguments),
        "sysctls": dict(setting.sysctls),
        "addresses": list(scenario.addresses),
        "files": dict(scenario.files),
        "steps": steps,
        "connection_seconds": CONNECTION_SECONDS,
        "seconds": int(seconds),
    }


def _with_prefix(scenario: Scenario, address: str) -> str:
    return next(each for each in scenario.addresses if each.partition("/")[0] == address)


def _target(bind: Bind) -> dict[str, Any]:
    return {"label": bind.label, "address": bind.target, "port": bind.port}


def measure(
    guest: Guest, build: str, setting: Setting, scenario: Scenario, evidence: Evidence
) -> None:
    """Run the steps of a scenario in a guest, watching from within and from outside.

    What was seen goes to `evidence` at once, so that it is there if the rest fails. Raises
    MeasurementError when the steps cannot be run to their end.
    """
    plan = guest_plan(build, setting, scenario)
    with (
        guest.reachable("the sequence"),
        monitor.forwarded(guest.folder, scenario.binds) as ports,
        ThreadPoolExecutor(OUTSIDE_CONNECTIONS) as pool,
        guest.converse(f"exec python3 {PROGRAM} sequence", plan["seconds"]) as channel,
    ):
        channel.sendall(json.dumps(plan).encode() + b"\n")
        looks: dict[Bind, Future[str]] = {}
        unfinished: list[tuple[dict[str, Any], dict[Bind, Future[str]]]] = []
        for event in _events(channel):
            if event["event"] == "check":
                looks = outside.look(pool, ports)
            elif event["event"] == "checked":
                check = _add_check(evidence, scenario, event)
                # An address that is not there is slow to say so, and need not be waited for.
                wait([looks[bind] for bind in _expected(scenario, event) if bind in looks])
                unfinished.append((check, looks))
                channel.sendall(b"\n")
            elif event["event"] == "failed":
                evidence.log = event["log"]
                raise MeasurementError(event["reason"])
            else:
                _add(evidence, scenario, event)
        for check, each in unfinished:
            check["outside"] = {bind.label: look.result() for bind, look in each.items()}


def _expected(scenario: Scenario, event: Mapping[str, Any]) -> tuple[Bind, ...]:
    """What should answer at the step of an event."""
    return should_answer(scenario)[event["step"]]


def _add(evidence: Evidence, scenario: Scenario, event: Mapping[str, Any]) -> None:
    if event["event"] == "begin":
        evidence.release, evidence.haproxy_version = event["release"], event["haproxy"]
    elif event["event"] == "reload":
        step = scenario.steps[event["step"] - 1]
        assert isinstance(step, Reload)
        evidence.reloads.append({"step": event["step"], "config": step.configuration})
    elif event["event"] == "reported" and evidence.reloads:
        evidence.reloads[-1] |= {"reported": event["reported"], "log": event["log"]}
    elif event["event"] == "end":
        evidence.log = event["log"]


def _add_check(evidence: Evidence, scenario: Scenario, event: Mapping[str, Any]) -> dict[str, Any]:
    connections = event["connections"]
    check = {
        "step": event["step"],
        "reload": evidence.reloads[-1]["step"] if evidence.reloads else None,
        "at": min(each["at"] for each in connections.values()),
        "expected": [bind.label for bind in _expected(scenario, event)],
        "outcomes": {label: each["outcome"] for label, each in connections.items()},
        "outside": {},
        "connections": connections,
    }
    evidence.checks.append(check)
    return check


def _events(channel: paramiko.Channel) -> Iterator[dict[str, Any]]:
    """What the guest's program reports, up to its end.

    Raises MeasurementError when it falls silent or does not come to an end.
    """
    event: dict[str, Any] = {"event": None}
    try:
        for line in channel.makefile("r"):
            event = json.loads(line)
            yield event
    except TimeoutError as error:
        raise MeasurementError(
            f"the guest's program was silent for {channel.gettimeout():.0f} s "
            f"after its event '{event['event']}'"
        ) from error
    if event["event"] not in ("end", "failed"):
        complaint = channel.makefile_stderr("r").read().decode(errors="replace")
        raise MeasurementError(
            f"the guest's program ended after its event '{event['event']}': {tail(complaint)}"
        )
