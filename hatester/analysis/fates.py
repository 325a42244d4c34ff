"""Fates: what becomes of the users of a cell.

A cell's fate is its outcome for users: `well` (ok, or single connections lost), `noted` (the same
with a note beside the verdict, such as slow answers), `outage`, `down`, or `silent` (down, and
HAProxy had reported success). A cell that was not measured has no fate.
"""

from __future__ import annotations

from collections.abc import Sequence

from hatester.analysis.groups import builds_of
from hatester.analysis.model import CellResult
from hatester.analysis.notes import kinds

_FATES = ("well", "noted", "unasked", "outage", "unstarted", "down", "silent")
"""The worst last."""
UNHARMED = ("well", "noted")


def find_fate(cell: CellResult) -> str:
    """Return the fate of a cell that was measured."""
    if cell.silent:
        return "silent"
    if cell.ended == "start":
        return "unstarted"
    if cell.verdict in ("ok", "lossy"):
        return "noted" if kinds(cell) else "well"
    return cell.verdict


def find_fates(cells: Sequence[CellResult]) -> dict[str, str]:
    """Return the fate that most cells of each build share, the worst of several, by version."""
    return {
        build: _most_common([find_fate(cell) for cell in cells if cell.haproxy.name == build])
        for build in builds_of(cells)
    }


def _most_common(fates: Sequence[str]) -> str:
    return max(fates, key=lambda fate: (fates.count(fate), _FATES.index(fate)))
