"""Durations, as users write them."""

from __future__ import annotations

import re

from hatester.util.errors import UserError
from hatester.util.text import quoted

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_FOR_EVER = 100 * 365 * 86400
"""Seconds. setitimer(2) takes more, but Python does not."""
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))


def duration(flag: str, text: str) -> float | None:
    """Seconds, given as `90s`, `1h30m`, `2w` or `0`; None for an empty text.

    Raises UserError for what is no such time.
    """
    if not text:
        return None
    found = _DURATION.fullmatch("0s" if text == "0" else text)
    parts = (int(found[unit] or 0) * _UNITS[unit] for unit in _UNITS) if found else [_FOR_EVER]
    if (seconds := sum(parts)) >= _FOR_EVER:
        raise UserError(f"{flag}: {quoted(text)} is no time such as 90s, 30m, 1h30m, 7d, 2w or 0.")
    return float(seconds)
