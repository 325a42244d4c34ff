"""Outcomes: what a cell's repetitions show, in one word each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Entry = Mapping[str, Any]

MEANINGS = {
    "ok": "no connection was lost",
    "unasked": "no address was left that should have answered",
    "lossy": "single connections were lost, each between two that were answered",
    "outage": "a stretch of time without an answer, then well again",
    "down": "an address was still dead when the observation ended",
    "silent": "down, and HAProxy had reported success",
    "error": "could not be measured, which says nothing about HAProxy",
}
OUTCOMES = tuple(name for name in MEANINGS if name != "error")
"""What can be measured, the worst last. Of a cell that is `down`, HAProxy did not claim success; of
one that is `silent`, it did."""

COLOURS = {"ok": 2, "unasked": 6, "lossy": 3, "outage": 1, "down": 1, "silent": 5, "error": 8}
"""Of a terminal's sixteen (console_codes(4)): green, cyan, yellow, red, magenta, grey."""


def outcome(cell: Entry) -> str:
    """One of OUTCOMES, or `error`: not measured, and so no statement about HAProxy."""
    return "silent" if cell["silent"] else str(cell["verdict"])


def measured(cells: Iterable[Entry]) -> list[Entry]:
    """Those of which something can be said."""
    return [cell for cell in cells if outcome(cell) != "error"]


def worst(cells: Iterable[Entry]) -> str:
    """The gravest outcome of several; an error only where nothing was measured."""
    return max(map(outcome, cells), key=("error", *OUTCOMES).index)
