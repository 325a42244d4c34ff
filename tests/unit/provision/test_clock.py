"""The grid of moments on which a guest's cell goes on."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.guest.clock import GRID_SECONDS, Clock, following, grid

INTERVALS = st.integers(1, 1000).map(lambda milliseconds: milliseconds / 1000)
TICK = 1e-5
"""More than rounding makes of times, and less than anybody sees."""


@given(INTERVALS)
def test_grid_is_the_least_long_multiple(interval: float) -> None:
    step = grid(interval)
    assert step / interval == pytest.approx(round(step / interval))
    assert step >= GRID_SECONDS - TICK
    assert step - interval < GRID_SECONDS


@pytest.mark.parametrize(
    ("interval", "step"), [(0.02, 0.1), (0.005, 0.1), (0.03, 0.12), (0.1, 0.1), (0.25, 0.25)]
)
def test_usual_grids(interval: float, step: float) -> None:
    assert grid(interval) == pytest.approx(step)


@given(st.floats(0, 10**5), st.floats(0, 10**5), st.floats(0.001, 2.0))
def test_following_moment_is_within_a_step(now: float, origin: float, step: float) -> None:
    moment = following(now, origin, step)
    steps = (moment - origin) / step
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert now - TICK <= moment < now + step + TICK


@given(st.integers(-1000, 1000), INTERVALS, st.integers(0, 10**4))
def test_grid_moment_follows_itself(number: int, interval: float, origin: int) -> None:
    moment = origin + number * interval
    assert following(moment, origin, interval) == pytest.approx(moment, abs=TICK)


def test_past_moments_are_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    clock = Clock(origin=90.0)
    clock.sleep_until(9.0)
    clock.sleep_until(10.5)
    assert slept == [0.0, 0.5]
