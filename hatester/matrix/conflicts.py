"""Conflicts: steps of a scenario that must fail in the guest, as far as its files show them."""

from __future__ import annotations

from collections.abc import Iterator

from hatester.matrix.binds import Bind
from hatester.matrix.declarations import Setting
from hatester.matrix.plan import Plan
from hatester.matrix.scenario import Scenario
from hatester.matrix.scenario_state import World
from hatester.matrix.steps import Occupy, Reload, Restart, Start, Step

_NONLOCAL = {4: "net.ipv4.ip_nonlocal_bind", 6: "net.ipv6.ip_nonlocal_bind"}


def find_conflicts(plan: Plan) -> list[str]:
    """Return a sentence about each step of a plan's scenarios that must fail.

    That is a start without an address that it binds, unless the setting allows it, and another
    process at a port that HAProxy holds.
    """
    used = dict.fromkeys((cell.scenario, cell.setting) for cell in plan.cells)
    found: dict[str, list[str]] = {}
    for name, setting in used:
        for sentence in _conflicts(plan.scenarios[name], plan.matrix.settings[setting]):
            found.setdefault(f"{name}: {sentence}", []).append(setting)
    return [f"{sentence} (setting: {', '.join(names)})." for sentence, names in found.items()]


def _conflicts(scenario: Scenario, setting: Setting) -> Iterator[str]:
    world = scenario.world(setting.sysctls)
    bound: tuple[Bind, ...] = ()
    for number, step in enumerate(scenario.steps, start=1):
        if isinstance(step, Start | Restart | Reload):
            bound = scenario.configurations[step.configuration].binds
        if problem := _problem(step, bound, world, setting):
            yield f"step {number}, {step}: {problem}"
        world.take(step)


def _problem(step: Step, bound: tuple[Bind, ...], world: World, setting: Setting) -> str | None:
    if isinstance(step, Start | Restart) and getattr(step, "may", None) is None:
        absent = [each for each in bound if each.can_be_missing and each.address not in world.there]
        if missing := [each.label for each in absent if not _binds_anyway(each, setting)]:
            return f"{', '.join(missing)} is not there, so HAProxy does not start"
    if isinstance(step, Occupy) and (holders := [b for b in bound if _meets(b, step.what)]):
        return f"HAProxy listens at {holders[0].label}, so no other process can"
    return None


def _binds_anyway(bind: Bind, setting: Setting) -> bool:
    """Return whether a setting lets HAProxy bind an address that is not there."""
    version = 6 if ":" in bind.address else 4
    return "transparent" in setting.bind or setting.sysctls.get(_NONLOCAL[version]) == "1"


def _meets(bind: Bind, what: str) -> bool:
    """Return whether a bind has the address and port of another, or the port of all addresses."""
    address, _, port = what.rpartition(":")
    is_same = bind.address == address or bind.is_wildcard or address == "*"
    return bind.port == int(port) and is_same
