"""Outcomes: what a cell's repetitions show, in one word each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hatester.verdict import SEVERITY

Entry = Mapping[str, Any]

OUTCOMES = (*SEVERITY, "silent")
"""What can be measured, the worst last. Of a cell that is `down`, HAProxy did not claim success; of
one that is `silent`, it did."""

COLOURS = {"ok": 2, "lossy": 3, "outage": 1, "down": 1, "silent": 5, "error": 8}
"""Of a terminal's sixteen (console_codes(4)): green, yellow, red, magenta, grey."""


def outcome(cell: Entry) -> str:
    """One of OUTCOMES, or `error`: not measured, and so no statement about HAProxy."""
    return "silent" if cell["silent"] else str(cell["verdict"])


def measured(cells: Iterable[Entry]) -> list[Entry]:
    """Those of which something can be said."""
    return [cell for cell in cells if outcome(cell) != "error"]
