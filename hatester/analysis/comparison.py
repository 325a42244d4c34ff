"""Comparison: the changes from one run to another, beyond the noise."""

from __future__ import annotations

import enum
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import LEGEND, errors, lines, measured
from hatester.analysis.significance import trend
from hatester.util.text import grouped

_WIDTH = 100


class ChangeKind(enum.Enum):
    """The change of a cell, in the order of the report.

    APPEARED and DISAPPEARED are cells that only the later or only the earlier run has, whatever
    they show. LOST and GAINED are those that both have, and only one could measure.
    """

    WORSE = "worse"
    BETTER = "better"
    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    LOST = "not measured any more"
    GAINED = "measured now"
    SAME = "the same within the noise"
    NEVER = "measured in neither"


@dataclass(frozen=True)
class Change:
    """A cell's repetitions in both runs, and how it changed."""

    id: str
    kind: ChangeKind
    before: Sequence[CellResult]
    after: Sequence[CellResult]


@dataclass(frozen=True)
class Comparison:
    """All cells of two runs, and further differences, which may be the reason.

    `conditions` are those that changed between the two, each as it was and as it is: a kernel's
    release, HAProxy's version, the accelerator, the clock or the interval between probes.
    """

    cells: Sequence[Change]
    conditions: Mapping[str, tuple[str, str]]

    @property
    def changed(self) -> dict[ChangeKind, list[Change]]:
        """The cells of each kind that is a change."""
        kinds = (kind for kind in ChangeKind if kind not in (ChangeKind.SAME, ChangeKind.NEVER))
        return {kind: changes for kind in kinds if (changes := self.of(kind))}

    @property
    def caution(self) -> str:
        """Why lengths cannot be compared; empty where they can."""
        if "clock" not in self.conditions:
            return ""
        return (
            "The two runs have different clocks: on the host's, an emulated guest's outages are "
            "longer by what the host is slow, so that lengths cannot be compared."
        )

    def of(self, kind: ChangeKind) -> list[Change]:
        return [cell for cell in self.cells if cell.kind == kind]

    @property
    def summary(self) -> str:
        """Return the number of cells of each kind, in one line."""
        count = Counter(cell.kind for cell in self.cells)
        worse, same = count[ChangeKind.WORSE], count[ChangeKind.SAME]
        named = (ChangeKind.WORSE, ChangeKind.BETTER, ChangeKind.SAME)
        said = [
            f"{worse} {'cell' if worse == 1 else 'cells'} got worse",
            f"{count[ChangeKind.BETTER]} better",
            f"{same} {'is' if same == 1 else 'are'} {ChangeKind.SAME.value}",
            *(
                f"{count[kind]} {kind.value}"
                for kind in ChangeKind
                if count[kind] and kind not in named
            ),
        ]
        return ", ".join(said)


@dataclass(frozen=True)
class Against:
    """The changes from an earlier run, by the name of that run."""

    run: str
    comparison: Comparison


def compare(before: Sequence[CellResult], after: Sequence[CellResult]) -> Comparison:
    """Return the changes from the cells of one run to those of another."""
    earlier, later = (grouped((cell.id, cell) for cell in each) for each in (before, after))
    changes = []
    for id_ in dict.fromkeys([*earlier, *later]):
        was, now = earlier.get(id_, []), later.get(id_, [])
        changes.append(Change(id_, _kind(was, now), was, now))
    return Comparison(changes, _conditions(before, after))


def _kind(before: Sequence[CellResult], after: Sequence[CellResult]) -> ChangeKind:
    if not before:
        return ChangeKind.APPEARED
    if not after:
        return ChangeKind.DISAPPEARED
    was, now = measured(before), measured(after)
    if was and now:
        return {1: ChangeKind.WORSE, 0: ChangeKind.SAME, -1: ChangeKind.BETTER}[trend(was, now)]
    if was:
        return ChangeKind.LOST
    return ChangeKind.GAINED if now else ChangeKind.NEVER


def _conditions(
    before: Sequence[CellResult], after: Sequence[CellResult]
) -> dict[str, tuple[str, str]]:
    was, now = _conditions_of(before), _conditions_of(after)
    return {
        name: (", ".join(was[name]), ", ".join(now[name]))
        for name in was
        if name in now and was[name].keys() != now[name].keys()
    }


def _conditions_of(cells: Sequence[CellResult]) -> dict[str, dict[str, None]]:
    """Return the values of each condition, in the order of the cells."""
    found: dict[str, dict[str, None]] = {}
    for cell in measured(cells):
        kernel, haproxy = cell.kernel, cell.haproxy
        for name, value in (
            (f"Linux {kernel.name}", kernel.release),
            (f"HAProxy {haproxy.name}", haproxy.version),
            ("accelerator", kernel.accelerator),
            ("clock", cell.clock),
            ("processors of a guest", str(cell.cpus)),
            ("probe interval", f"{cell.quality.interval:g} s" if cell.quality else None),
        ):
            found.setdefault(name, {})[str(value)] = None
    return found


def text(comparison: Comparison) -> str:
    """Return the changes in words: cells by their kind, other differences, and the summary.

    Before and after are as in the tables. Cells that only one run has are listed by their ids.
    """
    said = [
        f"{kind.value}:\n{textwrap.indent(_group(kind, changes), '  ')}"
        for kind, changes in comparison.changed.items()
    ]
    if comparison.conditions:
        rows = [(name, f"{was} → {now}") for name, (was, now) in comparison.conditions.items()]
        said.append(f"not the same in both runs:\n{textwrap.indent(_rows(rows), '  ')}")
    if comparison.caution:
        said.append(comparison.caution)
    # A version may have the sign as well, but never after a space.
    if any(" ~" in each for each in said):
        said.append(LEGEND)
    return "\n\n".join([*said, comparison.summary])


def _group(kind: ChangeKind, changes: Sequence[Change]) -> str:
    if kind in (ChangeKind.APPEARED, ChangeKind.DISAPPEARED):
        ids = ", ".join(change.id for change in changes)
        return textwrap.fill(ids, _WIDTH, break_long_words=False, break_on_hyphens=False)
    rows = [(each.id, f"{_line(each.before)} → {_line(each.after)}") for each in changes]
    if kind != ChangeKind.LOST:
        return _rows(rows)
    return f"{_rows(rows)}\n{errors([cell for each in changes for cell in each.after])}"


def _line(repetitions: Sequence[CellResult]) -> str:
    return "; ".join(lines(repetitions))


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return tabulate(rows, tablefmt="plain", disable_numparse=True)
