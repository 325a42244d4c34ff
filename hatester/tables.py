"""Tables of a run's cells, for people."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from hatester.plan import Cell

Entry = Mapping[str, Any]

LEGEND = (
    "~ the prober was late: more than one interval, for one connection of a hundred; "
    "to be read with care"
)


@dataclass(frozen=True)
class Grid:
    """The cells of one setting, scenario and method, in the order of the run.

    `cells` has the repetitions of each, by the names of its kernel and its build.
    """

    setting: str
    scenario: str
    method: str
    cells: Mapping[tuple[str, str], Sequence[Entry]]

    @property
    def kernels(self) -> list[str]:
        return list(dict.fromkeys(kernel for kernel, _ in self.cells))

    @property
    def builds(self) -> list[str]:
        return list(dict.fromkeys(build for _, build in self.cells))

    @property
    def every(self) -> list[Entry]:
        return list(itertools.chain(*self.cells.values()))

    def row(self, kernel: str) -> list[Entry]:
        return [cell for cell in self.every if cell["kernel"]["name"] == kernel]

    def column(self, build: str) -> list[Entry]:
        return [cell for cell in self.every if cell["haproxy"]["name"] == build]


def grids(cells: Iterable[Entry]) -> list[Grid]:
    """What becomes a table each: kernels down, HAProxy across."""
    found: dict[tuple[str, str, str], dict[tuple[str, str], list[Entry]]] = {}
    for cell in cells:
        grid = found.setdefault((cell["setting"], cell["scenario"], cell["method"]), {})
        grid.setdefault((cell["kernel"]["name"], cell["haproxy"]["name"]), []).append(cell)
    return [Grid(*names, grid) for names, grid in found.items()]


def tables(cells: Sequence[Entry]) -> str:
    """One table per setting, scenario and method."""
    texts = [
        f"{grid.scenario} by {grid.method}, {grid.setting}\n\n{_table(grid)}"
        for grid in grids(cells)
    ]
    return "\n\n".join([*texts, LEGEND] if any(is_late(cell) for cell in cells) else texts)


def _table(grid: Grid) -> str:
    rows = [
        [kernel, *("\n".join(lines(grid.cells.get((kernel, build), []))) for build in grid.builds)]
        for kernel in grid.kernels
    ]
    return tabulate(
        rows,
        headers=["Linux", *(f"HAProxy {build}" for build in grid.builds)],
        disable_numparse=True,
    )


@dataclass(frozen=True)
class _Result:
    """What makes the results of a cell's repetitions the same for a reader, or different."""

    verdict: str
    silent: bool
    kinds: frozenset[str]
    addresses: tuple[str, ...]
    """Those that were hit, by their short names, if others were not."""


def lines(repetitions: Sequence[Entry]) -> list[str]:
    """What is told of a cell, by its repetitions; nothing where there are none.

    That is its verdict, for how long addresses did not answer (the longest of all), how
    connections failed, and which addresses did where others did not. Of a cell that was measured
    several times it is each different result, with how often that was found.
    """
    alike: dict[_Result, list[Entry]] = {}
    for cell in repetitions:
        alike.setdefault(_result(cell), []).append(cell)
    found = []
    for result, cells in sorted(alike.items(), key=lambda each: -len(each[1])):
        count = f" {len(cells)}/{len(repetitions)}" if len(repetitions) > 1 else ""
        mark = " ~" if any(is_late(cell) for cell in cells) else ""
        found.append(f"{_line(result, cells)}{count}{mark}")
    return found


def _result(cell: Entry) -> _Result:
    hit = dict.fromkeys(label for label, _ in _hit(cell))
    expected = {
        label
        for reload in cell["reloads"]
        for label, address in reload["addresses"].items()
        if address["expected"] and reload["verdict"] == cell["verdict"]
    }
    every = dict.fromkeys(label for reload in cell["reloads"] for label in reload["addresses"])
    names = short_names(every)
    return _Result(
        cell["verdict"],
        bool(cell["silent"]),
        frozenset(_kinds([cell])),
        tuple(names[label] for label in hit) if hit.keys() != expected else (),
    )


def _hit(cell: Entry) -> list[tuple[str, Entry]]:
    """The addresses, each in each reload, that the cell owes its verdict to."""
    return [
        (label, address)
        for reload in cell["reloads"]
        for label, address in reload["addresses"].items()
        if address["verdict"] == cell["verdict"] != "ok"
    ]


def _kinds(cells: Sequence[Entry]) -> Counter[str]:
    """How many connections failed in which way, to addresses that were hit."""
    kinds: Counter[str] = Counter()
    for cell in cells:
        for _, address in _hit(cell):
            kinds.update(address["failures"])
    return kinds


def _line(result: _Result, cells: Sequence[Entry]) -> str:
    words = [result.verdict]
    if result.verdict == "lossy":
        lost = [_kinds([cell]).total() for cell in cells]
        words.append(_spread(str(min(lost)), str(max(lost))))
    elif result.verdict == "outage":
        longest = [max(address["outage_seconds"] for _, address in _hit(cell)) for cell in cells]
        words.append(f"{_spread(f'{min(longest):.1f}', f'{max(longest):.1f}')} s")
    if kinds := _kinds(cells):
        words.append("+".join(kind for kind, _ in kinds.most_common()))
    return " ".join([*words, *result.addresses]) + (", silent" if result.silent else "")


def _spread(low: str, high: str) -> str:
    return low if low == high else f"{low}-{high}"


def is_late(cell: Entry) -> bool:
    """Whether the prober was late, so that a cell is to be read with care."""
    return cell["verdict"] != "error" and bool(cell["quality"]["verdict"] == "late")


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """Addresses as people speak of them, `.44` and `:81`, where that is clear; else in full."""
    short = {label: _short(label) for label in labels}
    is_clear = len(set(short.values())) == len(short)
    return short if is_clear else {label: label for label in short}


def _short(label: str) -> str:
    address, _, port = label.rpartition(":")
    if address == "*":
        return f":{port}"
    separator = ":" if ":" in address else "."
    return separator + address.rpartition(separator)[2]


def errors(cells: Sequence[Entry]) -> str:
    """Why cells could not be measured, each reason once, with the cells that it cost."""
    return _told(
        "not measured", [(cell["id"], str(cell["error"])) for cell in cells if cell["error"]]
    )


def left_out(cells: Sequence[tuple[Cell, str]]) -> str:
    """Why cells make no sense, each reason once, with the cells."""
    return _told("left out", [(cell.id, reason) for cell, reason in cells])


def _told(what: str, reasons: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        f"{what}: {', '.join(ids)}\n  because {reason}"
        for reason, ids in by_reason(reasons).items()
    )


def by_reason(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each reason once, in the order of the alphabet, with the ids of its cells."""
    found: dict[str, list[str]] = {}
    for id_, reason in reasons:
        found.setdefault(reason, []).append(id_)
    return dict(sorted(found.items()))
