"""Flags that are numbers: what the user wrote, as what it means."""

from __future__ import annotations

import re

from hatester.errors import UserError

_SECONDS = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ms|s|)")
_SHORTEST, _LONGEST = 0.005, 1.0
"""Seconds. Any faster, and the closed connections of 60 s would use up a client's 28232 ports
(net.ipv4.ip_local_port_range)."""


def count(flag: str, text: str, least: int = 1) -> int:
    """A number of things. Raises UserError for anything but a whole number, `least` or more."""
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise UserError(f"{flag}: '{text}' is no whole number from {least} on.")
    return int(text)


def interval(flag: str, text: str) -> float | None:
    """Seconds, given as `20ms` or `0.02s`; None for an empty text.

    Raises UserError for what is no time, or one that no prober can keep.
    """
    if not text:
        return None
    found = _SECONDS.fullmatch(text)
    seconds = float(found["number"]) / (1000 if found["unit"] == "ms" else 1) if found else 0.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise UserError(f"{flag}: '{text}' is no time from 5ms to 1s, such as 20ms or 0.05s.")
    return seconds
