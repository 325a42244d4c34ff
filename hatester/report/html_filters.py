"""Filters of a page: a box to tick for each value of an axis, and the CSS that heeds them.

Names never become part of the CSS, only their numbers do. `v0-2` is the third value of the first
axis: the id of its box, and the class of all elements that only that value has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import MEANINGS, MISSING, outcome
from hatester.matrix.plan import Cell, cell_of
from hatester.util.text import grouped

_FORM, _FILTERED = "#filters", "#matrix"


class Filters:
    """The filters for some cells. An axis that has one value only needs none.

    `axes` has the ids of boxes by their values, in the order of the run, by the name of an axis.
    Verdicts are in the order of `MEANINGS`.
    """

    def __init__(self, cells: Sequence[CellResult | Cell]) -> None:
        values = grouped(pair for cell in cells for pair in _values(cell).items())
        if verdicts := values.pop("verdict", None):
            values["verdict"] = [name for name in (*MEANINGS, MISSING) if name in verdicts]
        choices = {name: list(dict.fromkeys(each)) for name, each in values.items()}
        several = [(name, each) for name, each in choices.items() if len(each) > 1]
        self.axes = {
            name: {value: f"v{axis}-{number}" for number, value in enumerate(each)}
            for axis, (name, each) in enumerate(several)
        }
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
        rules = [
            f"{_FORM}:has(#{box}:not(:checked)) ~ {_FILTERED} .{box}"
            for boxes in self.axes.values()
            for box in boxes.values()
        ]
        for group, name in self._groups.items():
            needs = ("".join(f":has(#{box}:checked)" for box in boxes) for boxes in sorted(group))
            rules.append(f"{_FORM}:not({', '.join(needs)}) ~ {_FILTERED} .{name}")
        return "".join(f"{rule} {{ display: none }}\n" for rule in rules)

    def _boxes(self, cell: CellResult | Cell) -> tuple[str, ...]:
        """Return the boxes that must be ticked for a cell to be selected, one of each axis."""
        values = _values(cell)
        return tuple(boxes[values[name]] for name, boxes in self.axes.items())


def _values(cell: CellResult | Cell) -> dict[str, str]:
    place = cell if isinstance(cell, Cell) else cell_of(cell.id)
    return {
        "Linux": place.kernel,
        "HAProxy": place.build,
        "scenario": cell.scenario,
        "setting": cell.setting,
        "method": cell.method,
        "verdict": MISSING if isinstance(cell, Cell) else outcome(cell),
    }
