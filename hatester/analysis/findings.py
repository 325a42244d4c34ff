"""Findings: sentences about a run's cells together.

Combinations share a sentence where most of their cells share a fate (cell_groups.py).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hatester.analysis import outcomes
from hatester.analysis.cell_groups import UNHARMED, builds_of, find_fate, find_fates, join_builds
from hatester.analysis.model import CellResult, CheckResult, RunResult
from hatester.analysis.notes import kinds, predicates, share_words
from hatester.matrix.plan import Cell
from hatester.util.text import grouped, listed, number, spread

Way = tuple[str, str]
"""A setting and a method."""

BASELINE: Way = ("plain", "signal")
"""The setting and method that others are compared with."""
_WIDTH = 100
_MINOR_SHARE = 0.1
"""The share of all failed connections that a kind of failure needs to be named."""
_DOES = {
    "refused": ("refuses", "refuse"),
    "reset": ("resets", "reset"),
    "timeout": ("leaves unanswered", "leave unanswered"),
    "unreachable": ("is cut off from", "are cut off from"),
    "empty": ("closes without an answer", "close without an answer"),
    "wrong": ("answers wrongly on", "answer wrongly on"),
}
"""Verbs for HAProxy by the outcome of connections: for one version, and for several."""


@dataclass(frozen=True)
class Finding:
    """Sentences about one thing, such as a scenario, as plain text."""

    about: str
    sentences: tuple[str, ...]


def find(run: RunResult) -> list[Finding]:
    """Return all findings of a run: by scenario, about kernels, and about chance."""
    cells, planned = _titled(run)
    scenarios = grouped((cell.scenario, cell) for cell in cells)
    found = [_scenario(name, own, planned) for name, own in scenarios.items()]
    return [*found, *find_general(run)]


def find_general(run: RunResult) -> list[Finding]:
    """Return the findings of a run about kernels, and about chance."""
    cells, planned = _titled(run)
    kernels = {cell.kernel for cell in planned}
    found = (_kernels(cells, len(kernels)), _chance(cells), _single_checks(cells))
    return [each for each in found if each.sentences]


def _titled(run: RunResult) -> tuple[list[CellResult], list[Cell]]:
    """Return the cells that were measured, and those planned, with the titles of their builds."""
    titles = outcomes.title_builds(run)
    cells = outcomes.measured(run.cells)
    for place, cell in enumerate(cells):
        build = cell.haproxy.model_copy(update={"name": titles.get(_build(cell), _build(cell))})
        cells[place] = cell.model_copy(update={"haproxy": build})
    return cells, [replace(each, build=titles.get(each.build, each.build)) for each, _ in run.tasks]


def text(found: Sequence[Finding]) -> str:
    """Return a paragraph for each finding, for a terminal."""
    return "\n".join(
        textwrap.fill(
            f"{each.about}: {'; '.join(each.sentences)}.",
            _WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        for each in found
    )


def _scenario(name: str, cells: Sequence[CellResult], planned: Sequence[Cell]) -> Finding:
    """Return the behaviour of builds in a scenario, and the effects of settings and methods."""
    ways = grouped((_way(cell), cell) for cell in cells)
    base = BASELINE if BASELINE in ways else next(iter(ways))
    others = {way: own for way, own in ways.items() if way != base}
    setting = "" if base[0] == BASELINE[0] else f", {base[0]}"
    return Finding(
        f"{name} by {base[1]}{setting}",
        (*_behaviours(ways[base], planned), *_variations(base, ways[base], others, planned)),
    )


def _behaviours(cells: Sequence[CellResult], planned: Sequence[Cell]) -> list[str]:
    """Return a sentence for all builds that do the same, most of the time."""
    every = builds_of(cells)
    alike: dict[tuple[str, bool, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for build, fate in find_fates(cells).items():
        typical = _typical([c for c in cells if _build(c) == build], fate)
        is_lossy = bool(_lossy(fate, typical))
        ways = _kinds(typical) if fate not in UNHARMED else ()
        key = (fate, is_lossy, _scope(typical), ways, tuple(predicates(typical)))
        alike.setdefault(key, []).append(build)
    return [
        _behaviour(fate, [c for c in cells if _build(c) in builds], builds, every, planned)
        for (fate, *_), builds in alike.items()
    ]


def _behaviour(
    fate: str,
    cells: Sequence[CellResult],
    builds: Sequence[str],
    every: Sequence[str],
    planned: Sequence[Cell],
) -> str:
    typical = _typical(cells, fate)
    form = 0 if len(builds) == 1 else 1
    beside = "".join(f", and {forms[form]}" for forms in predicates(typical).values())
    sentence = f"{join_builds(builds, every)} {_harm(fate, typical, form)}{beside}"
    if _lossy(fate, typical):
        return sentence
    return f"{sentence}, {_join_kernels(typical, cells, planned)}"


def _typical(cells: Sequence[CellResult], fate: str) -> list[CellResult]:
    """Return the cells of a fate; of those without harm, the ones with the most common notes."""
    alike = [cell for cell in cells if find_fate(cell) == fate]
    if fate not in UNHARMED:
        return alike
    counts = Counter(map(kinds, alike))
    most = max(counts, key=lambda each: (counts[each], len(each)))
    return [cell for cell in alike if kinds(cell) == most]


def _lossy(fate: str, cells: Sequence[CellResult]) -> list[CellResult]:
    """Return the cells that lost single connections and nothing worse."""
    return [cell for cell in cells if fate in UNHARMED and cell.verdict == "lossy"]


def _harm(fate: str, typical: Sequence[CellResult], form: int) -> str:
    """Return the harm that builds do to connections; `form` is 0 for one build, else 1."""
    if fate in UNHARMED:
        lose = ("loses", "lose")[form]
        lossy = _lossy(fate, typical)
        lost = [count for cell in lossy if (count := outcomes.failure_kinds(cell).total())]
        if not lost:
            # Clients that hold something lost it; the notes say what.
            return f"{lose} no fresh connection" if lossy else f"{lose} nothing"
        most = f"{max(lost)} at most" if max(lost) > 1 else "one each"
        return f"{lose} single connections, in {len(lost)} of {len(typical)} cells ({most})"
    if fate in _WITHOUT_ADDRESSES:
        return _WITHOUT_ADDRESSES[fate][form]
    does = listed(_DOES[kind][form] for kind in _kinds(typical))
    what = f"{does.replace(' and ', ' or ')} {_scope(typical)}"
    if share := share_words(map(outcomes.failed_share, typical)):
        what += f" ({share} of the connections)"
    if fate == "silent":
        return f"{('reports', 'report')[form]} success and {what} from then on"
    if fate == "down":
        return f"{what} to the end of the observation"
    return f"{what} for {spread(map(outcomes.longest_outage, typical), 1, ' to ')} s"


def _variations(
    base: Way,
    cells: Sequence[CellResult],
    others: Mapping[Way, Sequence[CellResult]],
    planned: Sequence[Cell],
) -> list[str]:
    """Return the effects of other settings and methods, for builds that were measured with both."""
    before = find_fates(cells)
    hit = [build for build, fate in before.items() if fate != "well"]
    effects: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    said = []
    for way, own in others.items():
        after = {build: fate for build, fate in find_fates(own).items() if build in before}
        changed = grouped((_effect(before[build], fate), build) for build, fate in after.items())
        for effect, builds in changed.items():
            if effect in EFFECTS:
                which = () if builds == hit else tuple(builds)
                effects.setdefault((effect, which), []).append(_describe_way(way, base))
            elif effect == "other":
                affected = [cell for cell in own if _build(cell) in builds]
                said += [
                    f"{_describe_way(way, base)}: {each}" for each in _behaviours(affected, planned)
                ]
    return [
        f"{listed(ways)} {EFFECTS[effect][0 if len(ways) == 1 else 1]}"
        + (f", with {join_builds(builds, builds_of(cells))}" if builds else "")
        for (effect, builds), ways in effects.items()
    ] + said


_WITHOUT_ADDRESSES = {
    "unasked": ("has no address left to ask", "have no address left to ask"),
    "unstarted": ("does not start", "do not start"),
}
"""Phrases for fates that are not those of addresses."""
EFFECTS = {"gone": ("removes it", "remove it"), "same": ("changes nothing", "change nothing")}


def _effect(before: str, after: str) -> str:
    if before == after:
        return "none" if after == "well" else "same"
    return "gone" if after == "well" else "other"


def _kernels(cells: Sequence[CellResult], planned: int) -> Finding:
    """Return the kernels with which something else becomes of the addresses than with most."""
    names = list(dict.fromkeys(map(_kernel, cells)))
    unlike: dict[tuple[str, ...], list[str]] = {}
    is_single = False
    combinations = grouped(((cell.scenario, _build(cell), _way(cell)), cell) for cell in cells)
    for combination in combinations.values():
        by_kernel = grouped((_kernel(cell), cell) for cell in combination)
        strange, usual = _strange(by_kernel)
        if strange:
            shown = [each for name in strange for each in by_kernel[name]]
            unlike.setdefault(strange, []).append(
                f"{_combination(combination[0])} ({_line(shown)}, not {_line(by_kernel[usual])})"
            )
            is_single |= any(len(by_kernel[name]) == 1 for name in strange)
    said = [_unlike(strange, where, names) for strange, where in unlike.items()]
    if is_single:
        said.append("a single measurement may be chance; measure more with --repeat")
    if len(names) > 1 and not said:
        which = _all(len(names)) if len(names) >= planned else f"{len(names)} of {planned}"
        said.append(f"with {which}, the same becomes of the addresses")
    return Finding("kernels", tuple(said))


def _strange(by_kernel: Mapping[str, Sequence[CellResult]]) -> tuple[tuple[str, ...], str]:
    """Return the kernels whose cells share no fate or notes with those of most, and another one."""
    fates = {
        name: frozenset((find_fate(cell), kinds(cell)) for cell in own)
        for name, own in by_kernel.items()
    }
    [(most, _)] = Counter(fates.values()).most_common(1)
    strange = tuple(name for name, fate in fates.items() if not fate & most)
    return strange, next(name for name, fate in fates.items() if fate == most)


def _unlike(strange: Sequence[str], where: Sequence[str], names: Sequence[str]) -> str:
    others = [name for name in names if name not in strange]
    than = f"Linux {others[0]}" if len(others) == 1 else "the others"
    are = "is" if len(strange) == 1 else "are"
    return f"Linux {listed(strange)} {are} unlike {than} in {'; '.join(where)}"


def _chance(cells: Sequence[CellResult]) -> Finding:
    """Return the cells whose outcome is not the same with all of their seeds."""
    said = [
        f"{id_}: {_line(repetitions)} ({_seeds(repetitions)})"
        for id_, repetitions in grouped((cell.id, cell) for cell in cells).items()
        if len(
            {fate if (fate := find_fate(cell)) != "well" else cell.verdict for cell in repetitions}
        )
        > 1
    ]
    return Finding("not the same with each seed", tuple(said))


def _seeds(cells: Sequence[CellResult]) -> str:
    """Return the seeds with which a cell lost something."""
    seeds = [str(c.seed) for c in cells if c.verdict != "ok" or find_fate(c) != "well"]
    return f"with {'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}"


def _single_checks(cells: Sequence[CellResult]) -> Finding:
    """Return how the last check alone, as in the original report, would have shown outages."""
    seen = grouped(
        ((cell.scenario, _build(cell)), _dead(cell, check))
        for cell in cells
        if cell.verdict == "outage"
        if (check := next((each for each in reversed(cell.checks) if each.reload), None))
    )
    said = [
        f"{scenario}, HAProxy {build}: "
        + ", ".join(f"{what} in {count} of {len(found)}" for what, count in counts.most_common())
        for (scenario, build), found in seen.items()
        if len(counts := Counter(found)) > 1
    ]
    return Finding("what the last check alone would have shown of an outage", tuple(said))


def _dead(cell: CellResult, check: CheckResult) -> str:
    """Return the addresses that a check found dead, of those that should have answered."""
    addresses = next(reload.addresses for reload in cell.reloads if reload.step == check.reload)
    names = outcomes.short_names(addresses)
    expected = [label for label, address in addresses.items() if address.expected]
    dead = [names[label] for label in expected if check.outcomes.get(label) != "ok"]
    if not dead:
        return "all well"
    return "all dead" if len(dead) == len(expected) else f"{listed(dead)} dead"


def _scope(cells: Sequence[CellResult]) -> str:
    """Return the addresses that were hit, if they are the same in all cells."""
    hit = {outcomes.hit_addresses(cell) for cell in cells}
    if hit == {()}:
        return "every address"
    return listed(hit.pop()) if len(hit) == 1 else "addresses"


def _kinds(cells: Sequence[CellResult]) -> tuple[str, ...]:
    """Return how most connections failed, the most frequent way first."""
    kinds: Counter[str] = sum(map(outcomes.failure_kinds, cells), Counter())
    least = _MINOR_SHARE * kinds.total()
    return tuple(kind for kind, count in kinds.most_common() if count >= least)


def _join_kernels(
    cells: Sequence[CellResult], among: Sequence[CellResult], planned: Sequence[Cell]
) -> str:
    """Return the kernels of cells; where others are planned and not measured, how many are."""
    names, every = dict.fromkeys(map(_kernel, cells)), {*map(_kernel, among)}
    combinations = {(each.scenario, *_way(each), _build(each)) for each in among}
    wanted = every | {
        each.kernel
        for each in planned
        if (each.scenario, each.setting, each.method, each.build) in combinations
    }
    if len(names) > 1 and names.keys() == every:
        count = _all(len(names)) if every == wanted else f"{len(names)} of {len(wanted)}"
        return f"on {count} kernels"
    share = "" if every == wanted else f" ({len(every)} of {len(wanted)} kernels were measured)"
    return f"on Linux {listed(names)}{share}"


def _all(count: int) -> str:
    return "both" if count == 2 else f"all {number(count)}"


def _describe_way(way: Way, base: Way) -> str:
    setting, method = way
    if method == base[1]:
        return setting
    return f"reloading by {method}" if setting == base[0] else f"{setting} by {method}"


def _combination(cell: CellResult) -> str:
    setting, method = _way(cell)
    return f"{cell.scenario} by {method}, {setting}, with HAProxy {_build(cell)}"


def _line(cells: Sequence[CellResult]) -> str:
    return ", ".join(outcomes.lines(cells))


def _way(cell: CellResult) -> Way:
    return cell.setting, cell.method


def _build(cell: CellResult) -> str:
    return cell.haproxy.name


def _kernel(cell: CellResult) -> str:
    return cell.kernel.name
