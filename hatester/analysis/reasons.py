"""Why cells were not measured, or left out: each reason once, with its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hatester.analysis.metrics import Entry
from hatester.matrix.plan import Cell


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
