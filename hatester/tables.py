"""Tables of a run's cells, for people."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from hatester.plan import Cell
from hatester.words import spread

Entry = Mapping[str, Any]

_LEGEND = (
    "~ the prober was late: more than one interval, for one connection of a hundred; "
    "to be read with care"
)


def tables(cells: Sequence[Entry]) -> str:
    """One table per setting, scenario and method: kernels down, HAProxy across.

    A cell says its verdict, for how long addresses did not answer (the longest of all), how
    connections failed, and which addresses did where others did not. Of a cell that was measured
    several times it has each different result on a line, with how often that was found.
    """
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for cell in cells:
        groups.setdefault((cell["setting"], cell["scenario"], cell["method"]), []).append(cell)
    texts = [
        f"{scenario} by {method}, {setting}\n\n{_table(group)}"
        for (setting, scenario, method), group in groups.items()
    ]
    return "\n\n".join([*texts, _LEGEND] if any(_is_late(cell) for cell in cells) else texts)


def _table(cells: Sequence[Entry]) -> str:
    kernels = list(dict.fromkeys(cell["kernel"]["name"] for cell in cells))
    builds = list(dict.fromkeys(cell["haproxy"]["name"] for cell in cells))
    repetitions: dict[tuple[str, str], list[Entry]] = {}
    for cell in cells:
        repetitions.setdefault((cell["kernel"]["name"], cell["haproxy"]["name"]), []).append(cell)
    rows = [
        [kernel, *(text(repetitions.get((kernel, build), [])) for build in builds)]
        for kernel in kernels
    ]
    return tabulate(
        rows, headers=["Linux", *(f"HAProxy {build}" for build in builds)], disable_numparse=True
    )


@dataclass(frozen=True)
class _Result:
    """What makes the results of a cell's repetitions the same for a reader, or different."""

    verdict: str
    silent: bool
    kinds: frozenset[str]
    addresses: tuple[str, ...]
    """Those that were hit, by their short names, if others were not."""


def text(repetitions: Sequence[Entry]) -> str:
    """A cell of the table; nothing where there is none."""
    alike: dict[_Result, list[Entry]] = {}
    for cell in repetitions:
        alike.setdefault(_result(cell), []).append(cell)
    lines = []
    for result, cells in sorted(alike.items(), key=lambda each: -len(each[1])):
        count = f" {len(cells)}/{len(repetitions)}" if len(repetitions) > 1 else ""
        mark = " ~" if any(_is_late(cell) for cell in cells) else ""
        lines.append(f"{_line(result, cells)}{count}{mark}")
    return "\n".join(lines)


def _result(cell: Entry) -> _Result:
    return _Result(
        cell["verdict"],
        bool(cell["silent"]),
        frozenset(failure_kinds(cell)),
        hit_addresses(cell),
    )


def hit_addresses(cell: Entry) -> tuple[str, ...]:
    """The addresses that a cell owes its verdict to, by their short names; none if all are."""
    hit = dict.fromkeys(label for label, _ in _hit(cell))
    expected = {
        label
        for reload in cell["reloads"]
        for label, address in reload["addresses"].items()
        if address["expected"] and reload["verdict"] == cell["verdict"]
    }
    every = dict.fromkeys(label for reload in cell["reloads"] for label in reload["addresses"])
    names = short_names(every)
    return tuple(names[label] for label in hit) if hit.keys() != expected else ()


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
    return " ".join([*words, *result.addresses]) + (", silent" if result.silent else "")


def _is_late(cell: Entry) -> bool:
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
    return _by_reason(
        "not measured", [(cell["id"], str(cell["error"])) for cell in cells if cell["error"]]
    )


def left_out(cells: Sequence[tuple[Cell, str]]) -> str:
    """Why cells make no sense, each reason once, with the cells."""
    return _by_reason("left out", [(cell.id, reason) for cell, reason in cells])


def _by_reason(what: str, reasons: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f"{what}: {', '.join(id_ for id_, _ in group)}\n  because {reason}"
        for reason, group in itertools.groupby(
            sorted(reasons, key=lambda each: each[1]), key=lambda each: each[1]
        )
    )
