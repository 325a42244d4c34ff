"""Progress: what is told to the user while something takes its time, as one line per event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hatester.util.log import say

CONSOLE = Console(stderr=True)
"""One for all that is drawn at a terminal, since rich joins only what is drawn at the same one."""


class Progress:
    """A run's progress; all of it may be told from any thread."""

    is_muted = False
    """Whether the run was told to end: what fails since then need not be told."""

    def say(self, text: str) -> None:
        """Anything worth a line."""
        if not self.is_muted:
            self.write(text)

    def write(self, text: str) -> None:
        say(text)

    def begin(self, planned: int) -> None:
        """So many measurements are ahead."""

    def doing(self, guest: str, what: str) -> None:
        """What a guest does from now on."""
        self.say(f"guest {guest}: {what}")

    def step(self, guest: str, cell: str, step: str) -> None:
        """What is about to happen in a cell: of interest to who looks on only."""

    def gone(self, guest: str) -> None:
        """A guest has ended."""

    def measured(self, entry: Mapping[str, Any], done: int, planned: int) -> None:
        """A cell's entry of `run.json`, now that it is there."""
