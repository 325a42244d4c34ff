"""Filters of a page: a box to tick for each value of an axis, and the CSS that heeds them.

Names never become part of the CSS, only their numbers do. `v0-2` is the third value of the first
axis: the id of its box, and the class of all elements that only that value has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import MEANINGS, MISSING, outcome
from hatester.matrix.plan import Cell

_FORM, _FILTERED = "#filters", "#matrix"


@dataclass(frozen=True)
class Axis:
    """A property that cells differ in, and its values in the order of the boxes."""

    name: str
    values: tuple[str, ...]


class Filters:
    """The filters for some cells. An axis that has one value only needs none."""

    def __init__(self, cells: Sequence[CellResult | Cell]) -> None:
        names = dict.fromkeys(name for cell in cells for name in _values(cell))
        axes = [
            Axis(name, tuple(dict.fromkeys(_values(cell)[name] for cell in cells)))
            for name in names
        ]
        self.axes = [_in_order(axis) for axis in axes if len(axis.values) > 1]
        self._groups: dict[frozenset[tuple[str, ...]], str] = {}

    def classes(self, cells: Iterable[CellResult | Cell]) -> str:
        """Return the classes of what is shown as long as one of these cells is selected."""
        selected = [self._boxes(cell) for cell in cells]
        columns = [set(boxes) for boxes in zip(*selected, strict=True)]
        common = [next(iter(column)) for column in columns if len(column) == 1]
        apart = frozenset(
            tuple(box for box, column in zip(boxes, columns, strict=True) if len(column) > 1)
            for boxes in selected
        )
        if len(apart) > 1:
            common.append(self._groups.setdefault(apart, f"g{len(self._groups)}"))
        return " ".join(common)

    def rules(self) -> str:
        """Return the CSS for all classes that were returned so far."""
        ticked = [box for axis in range(len(self.axes)) for box in self.boxes(axis)]
        rules = [f"{_FORM}:has(#{box}:not(:checked)) ~ {_FILTERED} .{box}" for box in ticked]
        for group, name in self._groups.items():
            needs = ("".join(f":has(#{box}:checked)" for box in boxes) for boxes in sorted(group))
            rules.append(f"{_FORM}:not({', '.join(needs)}) ~ {_FILTERED} .{name}")
        return "".join(f"{rule} {{ display: none }}\n" for rule in rules)

    def boxes(self, axis: int) -> list[str]:
        """Return the ids of an axis' boxes, by its number."""
        return [f"v{axis}-{number}" for number in range(len(self.axes[axis].values))]

    def _boxes(self, cell: CellResult | Cell) -> tuple[str, ...]:
        """Return the boxes that must be ticked for a cell to be selected, one of each axis."""
        values = _values(cell)
        return tuple(
            f"v{number}-{axis.values.index(values[axis.name])}"
            for number, axis in enumerate(self.axes)
        )


def _values(cell: CellResult | Cell) -> dict[str, str]:
    if isinstance(cell, Cell):
        kernel, build, verdict = cell.kernel, cell.build, MISSING
    else:
        kernel, build, verdict = cell.kernel.name, cell.haproxy.name, outcome(cell)
    return {
        "Linux": kernel,
        "HAProxy": build,
        "scenario": cell.scenario,
        "setting": cell.setting,
        "method": cell.method,
        "verdict": verdict,
    }


def _in_order(axis: Axis) -> Axis:
    """Return verdicts in the order of `MEANINGS`, all else in that of the run."""
    if axis.name != "verdict":
        return axis
    return Axis(axis.name, tuple(name for name in (*MEANINGS, MISSING) if name in axis.values))
