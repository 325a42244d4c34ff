"""The seed of a cell: it decides all that chance would decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from provision.guest.clock import GRID_SECONDS

LEAST_RACE, MOST_RACE = 0.1, 2.0
"""The gap before a step that races with a reload, as a share of how long a reload takes."""
_GOLDEN_RATIO = 0.6180339887498949
"""Steps of this share of a circle spread any number of points evenly (three-distance theorem)."""


@dataclass(frozen=True)
class Draw:
    """All that chance decides in a cell.

    `delays` has the seconds by which each step is later than its moment, at most GRID_SECONDS.
    `orders` has the order in which a check at each step asks the targets, by their numbers. `race`
    is the gap of racing steps, as a share of a reload's length.
    """

    delays: Sequence[float]
    orders: Sequence[Sequence[int]]
    race: float


def draw(seed: int, steps: int, targets: int) -> Draw:
    """Return the decisions of a seed in a cell of so many steps and targets."""
    delays, orders = Random(f"delays {seed}"), Random(f"orders {seed}")
    place = (0.5 + seed * _GOLDEN_RATIO) % 1
    return Draw(
        delays=[round(delays.uniform(0, GRID_SECONDS), 5) for _ in range(steps)],
        orders=[orders.sample(range(targets), targets) for _ in range(steps)],
        race=LEAST_RACE * (MOST_RACE / LEAST_RACE) ** place,
    )
