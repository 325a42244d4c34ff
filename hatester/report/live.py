"""The live view of a run, for who looks on at a terminal: guests, what is done, what is left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hatester.analysis import metrics
from hatester.analysis.outcomes import COLOURS, outcome
from hatester.util import progress
from hatester.util.progress import Progress
from hatester.util.text import displayable, printable

log = logging.getLogger(__name__)

_REFRESHES = 4
"""A second: the eye is content, and the processors are the guests'."""
_BAR_WIDTH = 40


@contextmanager
def shown() -> Iterator[Progress]:
    """A live view where standard error is a terminal that can show one, else lines."""
    console = progress.CONSOLE
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines()
        return
    view = View(console)
    with Live(
        get_renderable=view.render,
        console=console,
        refresh_per_second=_REFRESHES,
        transient=True,
    ):
        yield view


class Lines(Progress):
    """Progress as one line per event."""

    def measured(self, entry: Mapping[str, Any], done: int, planned: int) -> None:
        log.info(line(entry, done, planned))


class View(Progress):
    """What the live view shows; lines of the log scroll by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._guests: dict[str, str] = {}
        self._begun = time.monotonic()
        self._planned = self._before = self._done = 0
        self._outcomes: dict[str, int] = {}

    def begin(self, planned: int) -> None:
        with self._lock:
            self._planned = planned

    def doing(self, guest: str, what: str) -> None:
        with self._lock:
            self._guests[guest] = printable(what)

    def step(self, guest: str, cell: str, step: str) -> None:
        self.doing(guest, f"{cell}  {step}")

    def gone(self, guest: str) -> None:
        with self._lock:
            self._guests.pop(guest, None)

    def measured(self, entry: Mapping[str, Any], done: int, planned: int) -> None:
        found = outcome(entry)
        with self._lock:
            # What an earlier run measured took this one no time.
            self._before = self._before or done - 1
            self._done, self._planned = done, planned
            self._outcomes[found] = self._outcomes.get(found, 0) + 1
        text = displayable(line(entry, done, planned))
        self._console.print(Text(text, style=_style(found)))

    def render(self) -> Group:
        """The view as it is now."""
        with self._lock:
            guests = Table.grid(padding=(0, 2))
            for name, doing in sorted(self._guests.items()):
                guests.add_row(Text(f"guest {name}", style="bold"), Text(doing))
            counts = Text("  ").join(
                Text(f"{count} {name}", style=_style(name))
                for name, count in self._outcomes.items()
            )
            bar = Table.grid(padding=(0, 2))
            total = self._planned or None
            bar.add_row(
                ProgressBar(total=total, completed=self._done, width=_BAR_WIDTH),
                Text(f"{self._done} of {self._planned} cells, {self._left()}"),
                counts,
            )
        return Group(guests, bar)

    def _left(self) -> str:
        """How long the rest will take, if it goes on as it went so far."""
        passed = time.monotonic() - self._begun
        done = self._done - self._before
        so_far = f"{_minutes(passed)} so far"
        if not done:
            return so_far
        return f"{so_far}, {_minutes(passed / done * (self._planned - self._done))} to go"


def _style(found: str) -> str:
    return f"color({COLOURS[found]})"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line(entry: Mapping[str, Any], done: int, planned: int) -> str:
    """A cell's outcome, in the words of the tables, and how far the run is."""
    [outcome] = metrics.lines([entry])
    return f"[{done}/{planned}] {entry['id']}: {outcome} ({entry['seconds']:.1f} s)"
