"""Moments of the guest's monotonic clock.

Each action of a cell begins on a grid of them. So it does not depend on how long the host takes to
answer, and the cell's seed decides where it falls in the prober's schedule.
"""

from __future__ import annotations

import math
import time

GRID_SECONDS = 0.1
"""The least time between two moments; a multiple of the kernel's ticks (1, 4 or 10 ms)."""
ROUND_SECONDS = 1.0
"""The time between the moments at which a cell goes on after its host was busy."""
DIGITS = 5
"""The digits of seconds that are kept: finer than all measurements here."""
_ROUNDING = 1e-6


def grid(interval: float) -> float:
    """Return the seconds between two moments: a multiple of an interval between probes."""
    return math.ceil(GRID_SECONDS / interval - _ROUNDING) * interval


def following(now: float, origin: float, step: float) -> float:
    """Return the first moment of a grid that is not before `now`; `origin` is one of them."""
    return origin + math.ceil((now - origin) / step - _ROUNDING) * step


class Clock:
    """The monotonic clock of a cell; its times are seconds since `origin`."""

    def __init__(self, origin: float) -> None:
        self.origin = origin
        """In seconds on the guest's monotonic clock."""

    @classmethod
    def after_rest(cls, seconds: float) -> Clock:
        """Rest, and return a clock that begins then, at a multiple of these seconds.

        So the kernel's work of every second or minute falls on the same moments of each cell.
        """
        now = time.monotonic()
        clock = cls(following(now + seconds, 0.0, seconds or GRID_SECONDS))
        clock.sleep_until(0.0)
        return clock

    def now(self) -> float:
        """Return the time."""
        return time.monotonic() - self.origin

    def sleep_until(self, moment: float) -> None:
        """Return at a moment, or at once if it has passed."""
        time.sleep(max(0.0, moment - self.now()))
