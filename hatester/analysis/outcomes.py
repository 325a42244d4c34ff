"""Outcomes: what the measurements of a cell show, in words and figures.

The command line imports this module to start, so the model is imported for types alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hatester.analysis.notes import kinds, lost, notes, share_words
from hatester.util.text import grouped, listed, spread

if TYPE_CHECKING:
    from hatester.analysis.model import CellResult, RunResult
    from hatester.analysis.reload_model import AddressResult, ReloadResult
    from hatester.matrix.plan import Cell

MEANINGS = {
    "ok": "no connection was lost",
    "unasked": "no address was left that should have answered",
    "lossy": "single connections were lost, each between two that were answered",
    "outage": "a stretch of time in which all connections failed, or a share; then well again",
    "down": "an address was still dead when the observation ended",
    "silent": "down, and HAProxy had reported success",
    "error": "could not be measured, which says nothing about HAProxy",
}
OUTCOMES = tuple(name for name in MEANINGS if name != "error")
"""The outcomes of a measured cell, the worst last. Where a cell is `down`, HAProxy did not claim
success; where it is `silent`, it did."""
_MOST_IDS = 4
"""Of cells that were left out for one reason: matrices leave out hundreds."""
MISSING = "missing"
"""Stands where an outcome would, for a cell that was planned and is not measured (yet)."""
SEVERITY = tuple(name for name in OUTCOMES if name != "silent")
"""The verdicts on a reload, the worst last."""
COLOURS = {
    "ok": 2, "noted": 3, "unasked": 6, "lossy": 3, "outage": 1, "down": 1, "silent": 5, "error": 8,
}  # fmt: skip
"""Of a terminal's sixteen (console_codes(4)): green, cyan, yellow, red, magenta, grey."""
LEGEND = (
    "~ the prober was late: more than one interval, for one connection of a hundred; "
    "to be read with care"
)


def outcome(cell: CellResult) -> str:
    """Return one of OUTCOMES, or `error`: not measured, which says nothing about HAProxy."""
    return "silent" if cell.silent else cell.verdict


def title_builds(run: RunResult) -> dict[str, str]:
    """Return the titles of builds that --haproxy described, by name: `1.8.26 (h1826)`.

    Two binaries called haproxy differ by their versions; a build whose name is its version needs
    no title, and one that was never measured has none.
    """
    versions = {cell.haproxy.name: cell.haproxy.version for cell in run.cells}
    return {
        name: f"{version} ({name})"
        for name in run.builds
        if (version := versions.get(name)) and not version.startswith(name)
    }


def measured(cells: Iterable[CellResult]) -> list[CellResult]:
    """Return the cells that are not errors."""
    return [cell for cell in cells if cell.is_measured]


def worst(cells: Iterable[CellResult]) -> str:
    """Return the worst outcome of several cells; `error` only where none was measured."""
    return max(map(outcome, cells), key=("error", *OUTCOMES).index)


def find_tint(cells: Sequence[CellResult]) -> str:
    """Return the name of the colour for cells: the worst outcome, or `noted` beside an `ok`."""
    found = worst(cells)
    return "noted" if found == "ok" and any(map(kinds, cells)) else found


def order_by_harm(cells: Iterable[CellResult]) -> list[list[CellResult]]:
    """Return the repetitions of each cell with a loss or a note, the worst cell first.

    Cells of one outcome are ordered by their longest outage, then by their lost connections.
    """
    hit = [
        repetitions
        for repetitions in grouped((cell.id, cell) for cell in measured(cells)).values()
        if worst(repetitions) not in ("ok", "unasked") or any(map(kinds, repetitions))
    ]
    return sorted(hit, key=lambda repetitions: max(map(_harm, repetitions)), reverse=True)


def _harm(cell: CellResult) -> tuple[int, float, int]:
    return OUTCOMES.index(outcome(cell)), longest_outage(cell), losses(cell).total()


def worst_reload(reloads: Sequence[ReloadResult]) -> ReloadResult:
    """Return the worst by verdict, silence, longest outage and lost connections, in that order."""
    return max(reloads, key=_severity)


def _severity(reload: ReloadResult) -> tuple[int, bool, float, int]:
    expected = reload.expected.values()
    return (
        SEVERITY.index(reload.verdict),
        reload.silent,
        max((each.outage_seconds for each in expected), default=0.0),
        sum(sum(each.failures.values()) for each in expected),
    )


def lines(repetitions: Sequence[CellResult]) -> list[str]:
    """Return a line for each different result of a cell's repetitions, the most frequent first.

    A line has the verdict, how long addresses did not answer (the longest of all), how connections
    failed, and which addresses did where others did not. Of several repetitions, it has how often
    the result was found as well.
    """
    alike = grouped((_traits(cell), cell) for cell in repetitions)
    found = []
    for cells in sorted(alike.values(), key=len, reverse=True):
        count = f" {len(cells)}/{len(repetitions)}" if len(repetitions) > 1 else ""
        mark = " ~" if any(is_late(cell) for cell in cells) else ""
        found.append(f"{_line(cells)}{count}{mark}")
    return found


def _traits(cell: CellResult) -> tuple[object, ...]:
    """Return the properties by which results of one cell's repetitions differ for a reader."""
    return (
        cell.verdict,
        cell.silent,
        _is_unsaid(cell),
        frozenset(losses(cell)),
        _end(cell),
        kinds(cell),
        hit_addresses(cell),
    )


def _is_unsaid(cell: CellResult) -> bool:
    return has_unsaid(cell) and "no effect" not in kinds(cell)


def _end(cell: CellResult) -> str:
    if cell.ended:
        return "no start" if cell.ended == "start" else "HAProxy ended"
    if cell.verdict != "unasked":
        return ""
    said = {each.reported for each in cell.reloads if each.verdict == "unasked"}
    return "reload failed" if "failure" in said else "reload succeeded" if "success" in said else ""


def has_unsaid(cell: CellResult) -> bool:
    """Return whether HAProxy had time to say what became of a reload, and did not."""
    return any(
        each.reported is None and each.refusal is None and each.steady for each in cell.reloads
    )


def hit_labels(cell: CellResult) -> tuple[str, ...]:
    """Return the addresses that a cell owes its verdict to; none if all are."""
    hit = dict.fromkeys(label for label, _ in _hit(cell))
    expected = {
        label for each in cell.reloads if each.verdict == cell.verdict for label in each.expected
    }
    return tuple(hit) if hit.keys() != expected else ()


def hit_addresses(cell: CellResult) -> tuple[str, ...]:
    """Return the same as `hit_labels`, by their short names."""
    names = short_names(label for reload in cell.reloads for label in reload.addresses)
    return tuple(names[label] for label in hit_labels(cell))


def longest_outage(cell: CellResult) -> float:
    """Return the seconds of the longest outage of any address; 0 without an outage."""
    return max((address.outage_seconds for _, address in _hit(cell)), default=0.0)


def failed_share(cell: CellResult) -> float:
    """Return the share of connections that failed in outages, each counted by its length."""
    outages = [outage for _, address in _hit(cell) for outage in address.outages]
    seconds = sum(each.end - each.start for each in outages)
    failed = sum(each.share * (each.end - each.start) for each in outages)
    return failed / seconds if seconds else 1.0


def _hit(cell: CellResult) -> list[tuple[str, AddressResult]]:
    """Return the addresses, each in each reload, that the cell owes its verdict to."""
    return [
        (label, address)
        for reload in cell.reloads
        for label, address in reload.addresses.items()
        if address.verdict == cell.verdict != "ok"
    ]


def failure_kinds(cell: CellResult) -> Counter[str]:
    """Return how many connections failed in which way, to the addresses that were hit."""
    return sum((Counter(address.failures) for _, address in _hit(cell)), Counter())


def losses(cell: CellResult) -> Counter[str]:
    """Return the same as `failure_kinds`, with what clients lost where nothing worse was hit."""
    return failure_kinds(cell) + (lost(cell.reloads) if cell.verdict == "lossy" else Counter())


def _line(cells: Sequence[CellResult]) -> str:
    """Return the line for cells of the same traits."""
    cell = cells[0]
    words: list[str] = [cell.verdict]
    if cell.verdict == "lossy":
        words.append(spread(losses(each).total() for each in cells))
    elif cell.verdict == "outage":
        words.append(f"{spread(map(longest_outage, cells), 1)} s")
    if cell.verdict in ("outage", "down"):
        words.append(share_words(map(failed_share, cells)))
    kinds: Counter[str] = sum(map(losses, cells), Counter())
    words.append("+".join(kind for kind, _ in kinds.most_common()))
    said = [_end(cell), *notes(cells)]
    said += ["silent"] * bool(cell.silent) + ["no word"] * _is_unsaid(cell)
    parts = [" ".join(filter(None, [*words, *hit_addresses(cell)])), *said]
    return ", ".join(filter(None, parts))


def is_late(cell: CellResult) -> bool:
    """Return whether the prober was late, so that a cell is to be read with care."""
    return cell.is_measured and cell.quality is not None and cell.quality.verdict == "late"


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """Return labels as people say them, `.44` and `:81`, where that is clear; else in full."""
    short = {label: _short(label) for label in labels}
    is_clear = len(set(short.values())) == len(short)
    return short if is_clear else {label: label for label in short}


def _short(label: str) -> str:
    address, colon, port = label.rpartition(":")
    if not colon:  # a UNIX socket
        return label
    if address == "*":
        return f":{port}"
    separator = ":" if ":" in address else "."
    return separator + address.rpartition(separator)[2]


def errors(cells: Iterable[CellResult]) -> str:
    """Return why cells could not be measured: each reason once, with its cells."""
    return _reasons("not measured", [(each.id, each.error) for each in cells if each.error])


def left_out(cells: Iterable[tuple[Cell, str]]) -> str:
    """Return why cells were left out of a plan: each reason once, with some of its cells."""
    return _reasons("left out", [(cell.id, reason) for cell, reason in cells], _MOST_IDS)


def _reasons(what: str, reasons: Iterable[tuple[str, str]], most: int | None = None) -> str:
    found = []
    for reason, ids in by_reason(reasons).items():
        shown = ids if most is None or len(ids) <= most else ids[: most - 1]
        more = [f"{len(ids) - len(shown)} more"] if len(shown) < len(ids) else []
        parts = listed([*shown, *more]) if more else ", ".join(shown)
        found.append(f"{what}: {parts}\n  because {reason}")
    return "\n".join(found)


def by_reason(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return each reason once, in alphabetical order, with the ids of its cells."""
    return dict(sorted(grouped((reason, id_) for id_, reason in reasons).items()))
