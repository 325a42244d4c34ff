"""What is told of a cell by its repetitions, and the figures for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatester.analysis.labels import short_names
from hatester.util.text import spread

Entry = Mapping[str, Any]
LEGEND = (
    "~ the prober was late: more than one interval, for one connection of a hundred; "
    "to be read with care"
)


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
