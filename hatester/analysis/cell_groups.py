"""Groups of a run's cells that a finding names together: by a key, by build, by fate.

A cell's fate is its outcome for users: `well` (ok, or single connections lost), `noted` (the same
with a note beside the verdict, such as slow answers), `outage`, `down`, or `silent` (down, and
HAProxy had reported success). A cell that was not measured has no fate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hatester.analysis.notes import kinds
from hatester.util.text import grouped, listed
from hatester.util.versions import numbers

if TYPE_CHECKING:
    from hatester.analysis.model import CellResult

_FATES = ("well", "noted", "unasked", "outage", "unstarted", "down", "silent")
"""The worst last."""
UNHARMED = ("well", "noted")


def builds_of(cells: Iterable[CellResult]) -> list[str]:
    """Return the builds of cells, ordered by version."""
    versions = {cell.haproxy.name: cell.haproxy.version or cell.haproxy.name for cell in cells}
    return sorted(versions, key=lambda name: numbers(versions[name]))


def join_builds(builds: Sequence[str], every: Sequence[str]) -> str:
    """Return builds as people say them: `HAProxy 2.6 and later`. Both are ordered by version."""
    if len(builds) > 1 and len(builds) == len(every):
        return f"HAProxy {builds[0]} to {builds[-1]}"
    if len(builds) > 1 and list(builds) == list(every[-len(builds) :]):
        return f"HAProxy {builds[0]} and later"
    if len(builds) > 1 and list(builds) == list(every[: len(builds)]):
        return f"HAProxy {builds[-1]} and earlier"
    return f"HAProxy {listed(builds)}"


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
    fates = grouped((cell.haproxy.name, find_fate(cell)) for cell in cells)
    return {
        build: max(fates[build], key=lambda fate: (fates[build].count(fate), _FATES.index(fate)))
        for build in builds_of(cells)
    }
