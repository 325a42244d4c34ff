"""Progress of a run: its events, by default as lines of the log."""

from __future__ import annotations

import logging

from rich.console import Console

CONSOLE = Console(stderr=True)
"""For everything that is drawn at a terminal: rich combines only drawings at the same console."""

log = logging.getLogger(__name__)


class Progress:
    """A run's events; any thread may report one."""

    def begin(self, planned: int) -> None:
        """Note how many measurements there are to make."""

    def doing(self, guest: str, what: str) -> None:
        """Report what a guest does from now on."""
        log.info(f"guest {guest}: {what}")

    def step(self, guest: str, cell: str, step: str) -> None:
        """Report the step of a cell that begins. Only the live view shows it."""

    def gone(self, guest: str) -> None:
        """Report that a guest has ended."""

    def measured(self, outcome: str, text: str, done: int, planned: int) -> None:
        """Note that a cell was measured: its outcome, and the same in a line."""
