"""Groups of a run's cells that a finding names together: by a key, by build, by fate.

A cell's fate is its outcome for users: `well` (ok, or single connections lost), `noted` (the same
with a note beside the verdict, such as slow answers), `outage`, `down`, or `silent` (down, and
HAProxy had reported success). A cell that was not measured has no fate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hatester.analysis.notes import kinds
from hatester.util.text import listed
from hatester.util.versions import numbers

if TYPE_CHECKING:
    from hatester.analysis.model import CellResult

Key = TypeVar("Key")

_FATES = ("well", "noted", "unasked", "outage", "unstarted", "down", "silent")
"""The worst last."""
UNHARMED = ("well", "noted")


def group_cells(
    cells: Iterable[CellResult], key: Callable[[CellResult], Key]
) -> dict[Key, list[CellResult]]:
    """Return cells by a key of theirs, in the order of the run."""
    groups: dict[Key, list[CellResult]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return groups


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
    return {
        build: _most_common([find_fate(cell) for cell in cells if cell.haproxy.name == build])
        for build in builds_of(cells)
    }


def _most_common(fates: Sequence[str]) -> str:
    return max(fates, key=lambda fate: (fates.count(fate), _FATES.index(fate)))
