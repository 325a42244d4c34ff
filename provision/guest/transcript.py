"""What the sequence does to its guest, as lines for a shell by which a person can do the same."""

from __future__ import annotations

import shlex

_lines: list[str] = []
"""Of this process: there is one for each cell."""


def note(*command: str, tail: str = "") -> None:
    """A command that was run, or one that would do what was done; `tail` is not quoted."""
    _lines.append(f"{shlex.join(command)} {tail}".rstrip())


def taken() -> list[str]:
    """The lines since it was asked last."""
    lines = _lines[:]
    _lines.clear()
    return lines
