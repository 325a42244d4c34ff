"""Tables of a run's cells, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tabulate import multiline_formats, tabulate

from hatester.analysis.model import CellResult, RunResult
from hatester.analysis.outcomes import COLOURS, LEGEND, find_tint, is_late, lines, title_builds
from hatester.matrix.plan import Cell, cell_of
from hatester.util.text import counted, for_markdown, grouped, printable

_MARKDOWN = ("github", "pipe")


@dataclass(frozen=True)
class Grid:
    """The cells of one setting, scenario and method, in the order of the run.

    `cells` has the repetitions of each, by the names of its kernel and its build; none of a cell
    that is missing.
    """

    setting: str
    scenario: str
    method: str
    cells: Mapping[tuple[str, str], Sequence[CellResult]]

    @property
    def title(self) -> str:
        return f"{self.scenario} by {self.method}, {self.setting}"

    @property
    def kernels(self) -> list[str]:
        return list(dict.fromkeys(kernel for kernel, _ in self.cells))

    @property
    def builds(self) -> list[str]:
        return list(dict.fromkeys(build for _, build in self.cells))

    @property
    def every(self) -> list[CellResult | Cell]:
        return [cell for place in self.cells for cell in self.shown(*place)]

    def row(self, kernel: str) -> list[CellResult | Cell]:
        return [cell for at in self.cells if at[0] == kernel for cell in self.shown(*at)]

    def column(self, build: str) -> list[CellResult | Cell]:
        return [cell for at in self.cells if at[1] == build for cell in self.shown(*at)]

    def shown(self, kernel: str, build: str) -> Sequence[CellResult | Cell]:
        """Return the repetitions of a cell; the planned cell where it is missing."""
        missing = Cell(kernel, build, self.setting, self.scenario, self.method)
        return self.cells[(kernel, build)] or [missing]


def grids(cells: Iterable[CellResult], planned: Iterable[Cell] = ()) -> list[Grid]:
    """Return the cells of each table: kernels down, HAProxy across; also those only planned."""
    measured = grouped((cell_of(cell.id), cell) for cell in cells)
    places = grouped(
        ((place.setting, place.scenario, place.method), place)
        for place in dict.fromkeys((*planned, *measured))
    )
    return [
        Grid(*names, {(place.kernel, place.build): measured.get(place, []) for place in own})
        for names, own in places.items()
    ]


def tables(
    run: RunResult, table_format: str = "plain", title: str = "{}", is_coloured: bool = False
) -> str:
    """Return a table per setting, scenario and method, in a format of tabulate's, with titles.

    Under them stands how much of an interrupted run is missing.
    """
    escaped, titles = _escape(table_format), title_builds(run)
    texts = [
        f"{title.format(escaped(grid.title))}\n\n{_table(grid, titles, table_format, is_coloured)}"
        for grid in grids(run.cells)
    ]
    notes = [LEGEND] if any(is_late(cell) for cell in run.cells) else []
    return "\n\n".join([*texts, *notes, *([f"{run.shortfall}."] if run.shortfall else [])])


def _table(grid: Grid, titles: Mapping[str, str], table_format: str, is_coloured: bool) -> str:
    separator = "\n" if table_format in multiline_formats else "; "
    separator = "<br>" if table_format in _MARKDOWN else separator

    escaped = _escape(table_format)

    def shown(repetitions: Sequence[CellResult]) -> str:
        text = separator.join(map(escaped, lines(repetitions)))
        return _colour(text, repetitions) if is_coloured and text else text

    rows = [
        [escaped(kernel), *(shown(grid.cells.get((kernel, build), [])) for build in grid.builds)]
        for kernel in grid.kernels
    ]
    headers = ["Linux", *(f"HAProxy {escaped(titles.get(each, each))}" for each in grid.builds)]
    return tabulate(rows, headers=headers, tablefmt=table_format, disable_numparse=True)


def _escape(table_format: str) -> Callable[[str], str]:
    """Return the function that makes a text one line of a format, as tabulate does not."""
    return for_markdown if table_format in _MARKDOWN else printable


def _colour(text: str, repetitions: Sequence[CellResult]) -> str:
    """Return text in the colour of the worst outcome, for a terminal (console_codes(4))."""
    code = f"38;5;{COLOURS[find_tint(repetitions)]}"
    return "\n".join(f"\x1b[{code}m{line}\x1b[0m" for line in text.split("\n"))


def engines(cells: Iterable[CellResult]) -> list[str]:
    """Return how guests ran: `tcg, virtual clock, 1 processor`."""
    return sorted(
        {
            f"{cell.kernel.accelerator}, {cell.clock} clock, {counted(cell.cpus, 'processor')}"
            for cell in cells
            if cell.cpus is not None
        }
    )
