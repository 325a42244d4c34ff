"""The steps of a scenario as a guest takes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from hatester.guests.guest import build_root
from hatester.matrix.declarations import Setting
from hatester.matrix.scenario import Presence, Scenario, path_in_root, planned_socket, presence
from hatester.matrix.steps import (
    Add,
    Ask,
    Break,
    Check,
    Mend,
    Reload,
    Remove,
    Restart,
    Run,
    Second,
    Start,
    StartServer,
    Step,
    Stop,
    StopServer,
    Upgrade,
    Wait,
)
from provision.guest.plan import PlannedStep


def planned_steps(scenario: Scenario, setting: Setting, upgrade_to: str) -> list[PlannedStep]:
    """Return the steps under a setting; `upgrade_to` is the build of an upgrade that names none."""
    there = presence(scenario, {**scenario.sysctls, **setting.sysctls})
    found = []
    for number, step in enumerate(scenario.steps, start=1):
        before = scenario.steps[: number - 1]
        match step:
            case Start() | Restart() | Reload():
                present = there.get(number) or Presence((), ())
                planned = _load(scenario, setting, step, before, present)
            case Second():
                text = scenario.configurations[step.configuration].under(setting)
                planned = PlannedStep(step.verb, step.after, what=step.configuration, text=text)
            case Upgrade():
                build = step.build or upgrade_to
                planned = PlannedStep(step.verb, step.after, what=build, tree=build_root(build))
            case Ask():
                socket = planned_socket(scenario, setting, number)
                planned = PlannedStep(step.verb, step.after, what=step.command, socket=socket)
            case Wait(until=float(seconds)):
                planned = PlannedStep(step.verb, None, what=f"{seconds:g}s", seconds=seconds)
            case StartServer() | StopServer():
                planned = PlannedStep(f"{step.verb}-server", step.after, what=step.what)
            case _:
                planned = PlannedStep(step.verb, step.after, what=_what(step, scenario.interface))
        found.append(planned)
    return found


def _what(step: Step, interface: str) -> str | None:
    """Return the object of a step, in the guest's words."""
    match step:
        case Check() | Stop():
            return None
        case Wait():
            return str(step.until)
        case Run():
            return step.command
        case Break() | Mend():
            return path_in_root(step.what)
        case Add() if step.what != interface:
            return str(ipaddress.ip_interface(step.what))
    return str(step.model_dump()["what"])


def _load(
    scenario: Scenario,
    setting: Setting,
    step: Start | Restart | Reload,
    before: Sequence[Step],
    there: Presence,
) -> PlannedStep:
    """Return a start, a restart or a reload."""
    configuration = scenario.configurations[step.configuration]
    present = [bind.label for bind in there.throughout]
    missing: list[str] = []
    if isinstance(step, Start):
        missing = [bind.label for bind in configuration.binds if bind.label not in present]
        # An address that is not watched may be the one that is missing.
        missing = missing or [each.what for each in before if isinstance(each, Remove)]
    return PlannedStep(
        step.verb,
        step.after,
        what=step.configuration,
        text=configuration.under(setting),
        places=[bind.place for bind in configuration.binds if bind.place],
        present=present,
        in_the_end=[bind.label for bind in there.finally_],
        missing=missing,
        may_fail=isinstance(step, Start) and step.may == "fail",
    )
