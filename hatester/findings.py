"""Findings: what a run's cells say together, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing, such as `lost-address by signal`; plain text."""

    about: str
    sentences: tuple[str, ...]


def find(cells: Sequence[Entry]) -> list[Finding]:
    """What the cells of a run say together."""
    return []
