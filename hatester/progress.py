"""Progress: what is told to the user while something takes its time."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes a line, from any thread."""
