"""Tables of a run's cells, for people."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import multiline_formats, tabulate

from hatester.analysis.labels import short_names
from hatester.analysis.outcomes import COLOURS, worst
from hatester.matrix.plan import Cell
from hatester.util import markup
from hatester.util.text import counted, printable, spread

Entry = Mapping[str, Any]

_MARKDOWN = ("github", "pipe")
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
    def title(self) -> str:
        return f"{self.scenario} by {self.method}, {self.setting}"

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


def tables(
    cells: Sequence[Entry],
    table_format: str = "plain",
    title: str = "{}",
    is_coloured: bool = False,
) -> str:
    """One table per setting, scenario and method, in a format of tabulate's, under its title."""
    escaped = _escape(table_format)
    texts = [
        f"{title.format(escaped(grid.title))}\n\n{_table(grid, table_format, is_coloured)}"
        for grid in grids(cells)
    ]
    return "\n\n".join([*texts, LEGEND] if any(is_late(cell) for cell in cells) else texts)


def _table(grid: Grid, table_format: str, is_coloured: bool) -> str:
    separator = "\n" if table_format in multiline_formats else "; "
    separator = "<br>" if table_format in _MARKDOWN else separator

    escaped = _escape(table_format)

    def told(repetitions: Sequence[Entry]) -> str:
        text = separator.join(map(escaped, lines(repetitions)))
        return _coloured(text, repetitions) if is_coloured and text else text

    rows = [
        [escaped(kernel), *(told(grid.cells.get((kernel, build), [])) for build in grid.builds)]
        for kernel in grid.kernels
    ]
    headers = ["Linux", *(f"HAProxy {escaped(build)}" for build in grid.builds)]
    return tabulate(rows, headers=headers, tablefmt=table_format, disable_numparse=True)


def _escape(table_format: str) -> Callable[[str], str]:
    """What makes a text one line of a format that tabulate does not escape itself."""
    return markup.escaped if table_format in _MARKDOWN else printable


def _coloured(text: str, repetitions: Iterable[Entry]) -> str:
    """By the worst of a cell's outcomes, as terminals take it (console_codes(4))."""
    code = f"38;5;{COLOURS[worst(repetitions)]}"
    return "\n".join(f"\x1b[{code}m{line}\x1b[0m" for line in text.split("\n"))


@dataclass(frozen=True)
class _Result:
    """What makes the results of a cell's repetitions the same for a reader, or different."""

    verdict: str
    silent: bool
    unsaid: bool
    """Whether HAProxy did not say what became of a reload, for as long as it was waited for."""
    kinds: frozenset[str]
    end: str
    """What became of HAProxy where that is the result, or of a reload with nothing left to ask."""
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
    return _Result(
        cell["verdict"],
        bool(cell["silent"]),
        has_unsaid(cell),
        frozenset(failure_kinds(cell)),
        _end(cell),
        hit_addresses(cell),
    )


def _end(cell: Entry) -> str:
    if cell["ended"]:
        return "did not start" if cell["ended"] == "start" else "HAProxy ended"
    if cell["verdict"] != "unasked":
        return ""
    said = {each["reported"] for each in cell["reloads"] if each["verdict"] == "unasked"}
    return "reload failed" if "failure" in said else "reload succeeded" if "success" in said else ""


def has_unsaid(cell: Entry) -> bool:
    """Whether HAProxy had time to say what became of a reload, and did not."""
    return any(each["reported"] is None and each["steady"] for each in cell["reloads"])


def hit_labels(cell: Entry) -> tuple[str, ...]:
    """The addresses that a cell owes its verdict to; none if all are."""
    hit = dict.fromkeys(label for label, _ in _hit(cell))
    expected = {
        label
        for reload in cell["reloads"]
        for label, address in reload["addresses"].items()
        if address["expected"] and reload["verdict"] == cell["verdict"]
    }
    return tuple(hit) if hit.keys() != expected else ()


def hit_addresses(cell: Entry) -> tuple[str, ...]:
    """The addresses that a cell owes its verdict to, by their short names; none if all are."""
    names = short_names(label for reload in cell["reloads"] for label in reload["addresses"])
    return tuple(names[label] for label in hit_labels(cell))


def longest_outage(cell: Entry) -> float:
    """Seconds that the address waited which waited longest; 0 without an outage."""
    return max((float(address["outage_seconds"]) for _, address in _hit(cell)), default=0.0)


def _hit(cell: Entry) -> list[tuple[str, Entry]]:
    """The addresses, each in each reload, that the cell owes its verdict to."""
    return [
        (label, address)
        for reload in cell["reloads"]
        for label, address in reload["addresses"].items()
        if address["verdict"] == cell["verdict"] != "ok"
    ]


def failure_kinds(cell: Entry) -> Counter[str]:
    """How many connections failed in which way, to what a cell owes its verdict to."""
    kinds: Counter[str] = Counter()
    for _, address in _hit(cell):
        kinds.update(address["failures"])
    return kinds


def _line(result: _Result, cells: Sequence[Entry]) -> str:
    words = [result.verdict]
    if result.verdict == "lossy":
        lost = [failure_kinds(cell).total() for cell in cells]
        words.append(spread(str(min(lost)), str(max(lost)), "-"))
    elif result.verdict == "outage":
        longest = [longest_outage(cell) for cell in cells]
        low, high = f"{min(longest):.1f}", f"{max(longest):.1f}"
        words.append(f"{spread(low, high, '-')} s")
    kinds: Counter[str] = sum(map(failure_kinds, cells), Counter())
    if kinds:
        words.append("+".join(kind for kind, _ in kinds.most_common()))
    notes = {
        result.end: bool(result.end),
        "silent": result.silent,
        "no word": result.unsaid,
    }
    told = [note for note, is_so in notes.items() if is_so]
    return ", ".join([" ".join([*words, *result.addresses]), *told])


def is_late(cell: Entry) -> bool:
    """Whether the prober was late, so that a cell is to be read with care."""
    return cell["verdict"] != "error" and bool(cell["quality"]["verdict"] == "late")


def engines(cells: Iterable[Entry]) -> list[str]:
    """How guests ran: `tcg, virtual clock, 1 processor`."""
    found = {(cell["kernel"].get("accelerator"), cell["clock"], cell["cpus"]) for cell in cells}
    return [
        f"{accelerator}, {clock} clock, {counted(cpus, 'processor')}"
        for accelerator, clock, cpus in sorted(found - {(None, None, None)})
    ]


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
