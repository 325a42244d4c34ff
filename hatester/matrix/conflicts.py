"""Conflicts: steps of a scenario that must fail in the guest, as far as its files show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
    sysctls = {**scenario.sysctls, **setting.sysctls}
    is_transparent = "transparent" in setting.bind
    world = scenario.world(sysctls)
    bound: tuple[Bind, ...] = ()
    for number, step in enumerate(scenario.steps, start=1):
        if isinstance(step, Start | Restart | Reload):
            bound = scenario.configurations[step.configuration].binds
        needed = [
            each
            for each in bound
            if not (is_transparent or each.is_transparent or _is_nonlocal(each, sysctls))
        ]
        if problem := _problem(step, bound, needed, world):
            yield f"step {number}, {step}: {problem}"
        world.take(step)


def _problem(step: Step, bound: Sequence[Bind], needed: Sequence[Bind], world: World) -> str | None:
    """Return why a step must fail; `needed` are the binds whose address has to be there."""
    may_fail = isinstance(step, Start) and step.may == "fail"
    if isinstance(step, Start | Restart) and not may_fail:
        absent = [each for each in needed if each.can_be_missing]
        if missing := [each.label for each in absent if each.address not in world.there]:
            return f"{', '.join(missing)} is not there, so HAProxy does not start"
    if isinstance(step, Occupy) and (holders := [b for b in bound if _meets(b, step.what)]):
        return f"HAProxy listens at {holders[0].label}, so no other process can"
    return None


def _is_nonlocal(bind: Bind, sysctls: Mapping[str, str]) -> bool:
    """Return whether the kernel lets anyone bind an address that is not there."""
    return sysctls.get(_NONLOCAL[6 if ":" in bind.address else 4]) == "1"


def _meets(bind: Bind, what: str) -> bool:
    """Return whether a bind has the address and port of another, or the port of all addresses."""
    address, _, port = what.rpartition(":")
    is_same = bind.address == address or bind.is_wildcard or address == "*"
    return bind.port == int(port) and is_same
