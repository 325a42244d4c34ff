"""Kinds of cells: their verdicts as people tell them apart, from harmless to grave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Entry = Mapping[str, Any]

KINDS = {
    "error": "could not be measured, which says nothing about HAProxy",
    "ok": "no connection was lost",
    "lossy": "single connections were lost, each between two that were answered",
    "outage": "a stretch of time without an answer, then well again",
    "down": "an address was still dead when the observation ended",
    "silent": "down, and HAProxy had reported success",
}


def kind(cell: Entry) -> str:
    """A cell's verdict, or `silent`, which is worse than any."""
    return "silent" if cell["silent"] else str(cell["verdict"])


def worst(cells: Iterable[Entry]) -> str:
    """The gravest kind of several; an error only where nothing was measured."""
    return max(map(kind, cells), key=list(KINDS).index)
