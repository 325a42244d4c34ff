"""The live view of a run at a terminal: guests, what is done, what is left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hatester.analysis.outcomes import COLOURS
from hatester.util import progress
from hatester.util.progress import Progress
from hatester.util.text import displayable, printable

log = logging.getLogger(__name__)

_REFRESHES = 4
"""A second: more would take processor time from the guests."""
_BAR_WIDTH = 40


@contextmanager
def shown() -> Iterator[Progress]:
    """Show a live view where standard error is a terminal that can show one, else lines.

    Where the log shows no INFO, neither is shown.
    """
    console = progress.CONSOLE
    is_quiet = not log.isEnabledFor(logging.INFO)
    if is_quiet or not console.is_terminal or console.is_dumb_terminal:
        yield Lines()
        return
    view = View(console)
    with Live(
        get_renderable=view.render, console=console, refresh_per_second=_REFRESHES, transient=True
    ):
        yield view


class Lines(Progress):
    """Progress as one line per event."""

    def measured(self, outcome: str, text: str, done: int, planned: int) -> None:
        log.info(f"[{done}/{planned}] {text}")


class View(Progress):
    """The content of the live view; lines that are logged scroll by above it."""

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

    def measured(self, outcome: str, text: str, done: int, planned: int) -> None:
        with self._lock:
            # Cells of an earlier run took this run no time.
            self._before = self._before or done - 1
            self._done, self._planned = done, planned
            self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        line = displayable(f"[{done}/{planned}] {text}")
        self._console.print(Text(line, style=_style(outcome)))

    def render(self) -> Group:
        """Return the view as it is now."""
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
        """Return how long the rest will take at the speed so far."""
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
