"""The model of a run: a cell's result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """A cell's entry in `run.json`, and what lies beside it."""

    entry: dict[str, Any]
    timeline: dict[str, Any] = field(default_factory=dict)
    console: str = ""
