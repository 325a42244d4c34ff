"""Groups of a run's cells: by a key of theirs, and by builds as people name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hatester.analysis.model import CellResult
from hatester.util.text import listed
from hatester.util.versions import numbers

Key = TypeVar("Key")


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
