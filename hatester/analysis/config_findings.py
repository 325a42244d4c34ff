"""Findings about a configuration of the user's own: what losing its addresses costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hatester.analysis.cell_groups import builds_of, join_builds
from hatester.analysis.findings import EFFECTS, Finding
from hatester.analysis.model import CellResult, RunResult, UserConfiguration
from hatester.analysis.notes import predicates
from hatester.analysis.outcomes import hit_labels, longest_outage, losses, outcome, worst
from hatester.matrix.scenario import ABSENT, BACK, LOST, PLAIN, RELOAD, RELOAD_SAME
from hatester.util.text import counted, grouped, listed, were
from provision.guest.connections import CONNECT

_MOST = 12
"""The most addresses that are listed; of more, only their number is."""
_NOTHING = "costs nothing"
_EVENTS = {
    LOST: "{} missing at a reload",
    BACK: "{} back while HAProxy reloads",
    ABSENT: "{} missing when HAProxy starts",
}


def find_costs(run: RunResult) -> list[Finding]:
    """Return the findings about a run's own configuration; none for a run without one."""
    configuration = run.configuration
    if not configuration:
        return []
    by_scenario = grouped((cell.scenario, cell) for cell in run.cells)
    found = [Finding(listed(configuration.names), _describe_scope(configuration))]
    for name, words in ((RELOAD_SAME, "a reload of the same"), (RELOAD, "a reload")):
        if cells := by_scenario.get(name):
            found.append(Finding(f"{words} with nothing missing", _costs(cells)))
    for event, words in _EVENTS.items():
        found += _event(configuration.groups, event, words, by_scenario)
    return found


def _describe_scope(configuration: UserConfiguration) -> tuple[str, ...]:
    """Return the extent of the measurement, and the addresses that the configuration can lose."""
    binds, unwatched = configuration.binds, configuration.unwatched
    every = dict.fromkeys((*binds, *unwatched))
    reasons = grouped((reason, label) for label, reason in unwatched.items())
    missed = "; ".join(f"{_some(labels)}, since {why}" for why, labels in reasons.items())
    count = len(every) - len(unwatched)
    said = [
        f"watched {count} of {counted(len(every), 'bind')}"
        + (f" (not watched: {missed})" if missed else "")
    ]
    if by_connection := [label for label, each in binds.items() if each == CONNECT]:
        said.append(
            f"{_some(by_connection)} {were(len(by_connection))} asked for no more than a "
            "connection, since no answer can be distinguished from a failure there"
        )
    groups = configuration.groups.values()
    if single := [addresses[0] for addresses in groups if len(addresses) == 1]:
        said.append(f"can be lost: {_some(single)}")
    else:
        said.append(
            "no address can be missing, since it binds every address of the host or the loopback "
            "alone; measured instead: a reload with nothing missing"
        )
    if configuration.failing:
        said.append(f"checks fail of {_some(configuration.failing)}")
    return (*said, *configuration.said)


def _some(names: Sequence[str]) -> str:
    if len(names) <= _MOST:
        return listed(names)
    return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def _event(
    groups: Mapping[str, Sequence[str]],
    event: str,
    words: str,
    by_scenario: Mapping[str, Sequence[CellResult]],
) -> list[Finding]:
    """Return the costs of an event; addresses with the same costs share a finding."""
    alike = grouped(
        (_costs(cells), addresses)
        for name, addresses in groups.items()
        if (cells := by_scenario.get(f"{event}-{name}"))
    )
    return [
        Finding(words.format(" or ".join(map(_together, several))), costs)
        for costs, several in alike.items()
    ]


def _together(addresses: Sequence[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"all of {_some(addresses)}"


def _costs(cells: Sequence[CellResult]) -> tuple[str, ...]:
    """Return the costs in cells of one scenario, by build, and the effects of settings on them."""
    by_setting = grouped((cell.setting, cell) for cell in cells)
    base = PLAIN if PLAIN in by_setting else next(iter(by_setting))
    plain = _by_build(by_setting[base])
    said = _sentences(plain, "" if base == PLAIN else f"{base}: ")
    effects: dict[str, list[str]] = {}
    for setting, group in by_setting.items():
        if setting == base:
            continue
        after = _by_build(group)
        if set(after.values()) == {_NOTHING} != set(plain.values()):
            effects.setdefault("gone", []).append(setting)
        elif after == {build: plain.get(build) for build in after}:
            effects.setdefault("same", []).append(setting)
        else:
            said += _sentences(after, f"{setting}: ")
    if set(plain.values()) == {_NOTHING}:
        effects.pop("same", None)
    said += [
        f"{listed(settings)} {EFFECTS[effect][0 if len(settings) == 1 else 1]}"
        for effect, settings in effects.items()
    ]
    return tuple(said)


def _by_build(cells: Sequence[CellResult]) -> dict[str, str]:
    """Return the cost of each build, in the order of their versions."""
    alike = grouped((cell.haproxy.name, cell) for cell in cells)
    return {build: _cost(alike[build]) for build in builds_of(cells)}


def _sentences(costs: Mapping[str, str], prefix: str) -> list[str]:
    alike = grouped((cost, build) for build, cost in costs.items())
    return [
        f"{prefix}{cost} ({join_builds(builds, list(costs))})" for cost, builds in alike.items()
    ]


def _cost(cells: Sequence[CellResult]) -> str:
    """Return the cost in the gravest of cells that differ in kernel and seed alone."""
    gravest = worst(cells)
    worse = [cell for cell in cells if outcome(cell) == gravest]
    count = f", in {len(worse)} of {len(cells)} measurements" if len(worse) < len(cells) else ""
    beside = "".join(f", and {does}" for does, _ in predicates(worse).values())
    return f"{_costs_of(gravest, worse)}{beside}{count}"


def _costs_of(gravest: str, cells: Sequence[CellResult]) -> str:
    if gravest == "error":
        return "could not be measured"
    if gravest == "ok":
        return _NOTHING
    if any(cell.ended == "start" for cell in cells):
        return "HAProxy does not start"
    if any(cell.ended for cell in cells):
        return "HAProxy ends"
    if gravest == "unasked":
        reloads = [each for cell in cells for each in cell.reloads]
        said = {each.reported for each in reloads if each.verdict == "unasked"}
        became = "failed" if "failure" in said else "succeeded" if "success" in said else "went on"
        return f"nothing is left to ask, and the reload {became}"
    hit = _hit(cells)
    if gravest == "lossy":
        lost = max(losses(cell).total() for cell in cells)
        return f"costs {hit} {counted(lost, 'connection')}"
    if gravest == "outage":
        return f"costs {hit} {max(map(longest_outage, cells)):.1f} s"
    silently = ", though HAProxy reports success" if gravest == "silent" else ""
    return f"leaves {hit} dead{silently}"


def _hit(cells: Sequence[CellResult]) -> str:
    """Return the addresses that are hit, by most cells."""
    [(labels, _)] = Counter(map(hit_labels, cells)).most_common(1)
    return _some(labels) if labels else "every address"
