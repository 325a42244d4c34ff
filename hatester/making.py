"""What is made, or listed, without a run: told with what could not be had."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from invoke.exceptions import Exit
from tabulate import tabulate

from hatester.archive import Archive
from hatester.cli import NOT_MEASURED
from hatester.errors import MeasurementError

Thing = TypeVar("Thing")


def renew(archive: Archive, suites: Iterable[str | None]) -> None:
    """Fetch the lists of suites again; what a mirror has no more is said when it is made."""
    for suite in dict.fromkeys(suites):
        if suite:
            with contextlib.suppress(MeasurementError):
                archive.refresh(suite)


def had(
    make: Callable[[str], Thing], names: Iterable[str]
) -> tuple[dict[str, Thing], list[MeasurementError]]:
    """What could be made, by name, and why the rest could not."""
    things, lacks = {}, []
    for name in names:
        try:
            things[name] = make(name)
        except MeasurementError as error:
            lacks.append(error)
    return things, lacks


def show_made(
    headers: Sequence[str], rows: Sequence[Sequence[object]], lacks: Sequence[MeasurementError]
) -> None:
    """What was made, as a table; what could not be, with its reason and exit code 3."""
    print(tabulate(rows, headers=headers, disable_numparse=True))
    if lacks:
        raise Exit("\n".join(map(str, lacks)), code=NOT_MEASURED)
