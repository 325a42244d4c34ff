"""The transcript of a sequence: shell commands by which a person can do the same."""

from __future__ import annotations

import shlex

_lines: list[str] = []
"""Each cell has a process of its own."""


def note(*command: str, tail: str = "") -> None:
    """Note a command that was run, or does the same; `tail` is not quoted."""
    _lines.append(f"{shlex.join(command)} {tail}".strip())


def taken() -> list[str]:
    """Return the lines since the last call."""
    lines = _lines[:]
    _lines.clear()
    return lines
