"""What a seed decides."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from hatester.runner.seed import LEAST_RACE, MOST_RACE, draw
from provision.guest.clock import GRID_SECONDS

SEEDS = st.integers(0, 10**9 - 1)


@given(SEEDS, st.integers(0, 40), st.integers(0, 12))
def test_a_draw_has_all_that_a_cell_needs_within_its_bounds(
    seed: int, steps: int, targets: int
) -> None:
    drawn = draw(seed, steps, targets)
    assert drawn == draw(seed, steps, targets)
    assert len(drawn.delays) == len(drawn.orders) == steps
    assert all(0 <= delay <= GRID_SECONDS for delay in drawn.delays)
    assert all(sorted(order) == list(range(targets)) for order in drawn.orders)
    assert LEAST_RACE <= drawn.race <= MOST_RACE


@given(SEEDS, st.integers(0, 20), st.integers(0, 20), st.integers(1, 8))
def test_what_the_first_steps_draw_does_not_depend_on_those_that_follow(
    seed: int, steps: int, further: int, targets: int
) -> None:
    short, long = draw(seed, steps, targets), draw(seed, steps + further, targets)
    assert long.delays[:steps] == short.delays
    assert long.orders[:steps] == short.orders
    assert long.race == short.race


@given(SEEDS, st.integers(1, 20), st.integers(0, 8), st.integers(0, 8))
def test_the_delays_do_not_depend_on_the_targets(
    seed: int, steps: int, targets: int, others: int
) -> None:
    assert draw(seed, steps, targets).delays == draw(seed, steps, others).delays


def test_seeds_differ_in_all_that_they_decide() -> None:
    drawn = [draw(seed, 10, 5) for seed in range(100)]
    assert len({tuple(each.delays) for each in drawn}) == 100
    assert len({str(each.orders) for each in drawn}) == 100
    assert len({each.race for each in drawn}) == 100


@given(st.integers(0, 10**6))
def test_the_races_of_ten_seeds_in_a_row_are_spread_evenly(first: int) -> None:
    shares = [
        math.log(draw(seed, 0, 0).race / LEAST_RACE) / math.log(MOST_RACE / LEAST_RACE)
        for seed in range(first, first + 10)
    ]
    # One in each fifth at least, and no gap of two tenths between neighbours, round the circle.
    assert {int(share * 5) for share in shares} == set(range(5))
    shares.sort()
    gaps = [after - before for before, after in itertools.pairwise([*shares, shares[0] + 1])]
    assert max(gaps) < 0.2
