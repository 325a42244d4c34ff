"""Kinds of cells: their verdicts as people tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Entry = Mapping[str, Any]

KINDS = {
    "ok": "no connection was lost",
    "lossy": "single connections were lost, each between two that were answered",
    "outage": "a stretch of time without an answer, then well again",
    "down": "an address was still dead when the observation ended",
    "silent": "down, and HAProxy had reported success",
    "error": "could not be measured, which says nothing about HAProxy",
}
"""From harmless to grave; of an error nobody knows."""


def kind(cell: Entry) -> str:
    """A cell's verdict, or `silent`, which is worse than any."""
    return "silent" if cell["silent"] else str(cell["verdict"])


def worst(cells: Iterable[Entry]) -> str:
    """The gravest kind of several; an error only where nothing was measured."""
    return max(map(kind, cells), key=lambda name: (name != "error", list(KINDS).index(name)))
