"""The plan that a guest gets for a cell."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import strategies as st

from hatester.matrix.models import Setting
from hatester.matrix.scenario import load_scenario
from hatester.runner.guest_plan import (
    PROBE_INTERVAL,
    Order,
    guest_plan,
)
from hatester.runner.seed import draw
from hatester.util.paths import MATRIX
from provision.guest.plan import RACING, Destination, Plan
from provision.guest.protocol import encode

SEEDS = st.integers(0, 10**9 - 1)
SETTING = Setting.model_validate(
    {"sysctls": {"net.ipv4.ip_nonlocal_bind": "1"}, "arguments": ["-dR"], "bind": ["transparent"]}
)
LOST_ADDRESS = Order("2.2", SETTING, load_scenario(MATRIX / "scenarios/lost-address"), "cli")


def test_the_plan_has_all_that_the_guest_needs_and_the_steps_by_their_numbers() -> None:
    plan = guest_plan(LOST_ADDRESS, "real")
    assert (plan.tree, plan.method) == ("/opt/haproxy/2.2", "cli")
    assert plan.arguments == ["-dR"]
    assert plan.sysctls == {"net.ipv4.ip_nonlocal_bind": "1"}
    assert [step.verb for step in plan.steps] == [
        "start", "check", "remove", "reload", "check", "reload", "check",
    ]  # fmt: skip
    assert "bind 192.168.42.43:80 transparent\n" in plan.steps[0].text
    assert [step.what for step in plan.steps if step.what] == [
        "with", "192.168.42.43", "without", "with",
    ]  # fmt: skip
    assert plan.steps[5].present == ["192.168.42.44:80", "192.168.42.45:80", "*:81"]
    assert plan.destinations[-1] == Destination("*:81", "127.0.0.1", 81, None, "named")


def test_an_added_address_has_a_prefix_length(tmp_path: Path) -> None:
    for name in ("address-returns", "tentative-v6"):
        order = dataclasses.replace(
            LOST_ADDRESS, scenario=load_scenario(MATRIX / "scenarios" / name)
        )
        [added] = [step for step in guest_plan(order, "real").steps if step.verb == "add"]
        assert added.what in ("192.168.42.43/32", "fd00:42::43/64")


def test_the_seed_decides_delays_orders_and_the_race() -> None:
    plan = guest_plan(dataclasses.replace(LOST_ADDRESS, seed=5), "virtual")
    steps, targets = len(plan.steps), len(plan.destinations)
    drawn = draw(5, steps, targets)
    assert (plan.seed, plan.race) == (5, drawn.race)
    assert [step.delay for step in plan.steps] == drawn.delays
    assert [step.order for step in plan.steps] == drawn.orders
    other = guest_plan(dataclasses.replace(LOST_ADDRESS, seed=6), "virtual")
    assert other.race != plan.race
    assert [step.order for step in other.steps] != drawn.orders


def test_the_clock_decides_nothing_but_the_rest_before_a_cell() -> None:
    real, virtual = (guest_plan(LOST_ADDRESS, clock) for clock in ("real", "virtual"))
    assert real.rest == 0
    # Longer than the kernel remembers the closed connections of the cell before.
    assert 60 < virtual.rest < virtual.seconds
    assert dataclasses.replace(virtual, rest=0.0) == real


def test_a_step_that_races_is_sent_as_such_and_needs_no_time_of_its_own() -> None:
    scenario = load_scenario(MATRIX / "scenarios/reload-storm")
    plan = guest_plan(dataclasses.replace(LOST_ADDRESS, scenario=scenario), "virtual")
    assert [step.after for step in plan.steps].count(RACING) == 9
    assert encode(Plan.of(encode(plan))) == encode(plan)


@pytest.mark.parametrize(
    ("own", "wanted", "interval"),
    [(None, None, PROBE_INTERVAL), (0.01, None, 0.01), (0.01, 0.1, 0.1)],
)
def test_the_user_decides_how_often_to_probe_else_the_scenario(
    own: float | None, wanted: float | None, interval: float
) -> None:
    scenario = dataclasses.replace(LOST_ADDRESS.scenario, probe_interval=own)
    order = dataclasses.replace(LOST_ADDRESS, scenario=scenario, probe_interval=wanted)
    assert guest_plan(order, "real").probe_interval == interval


def test_the_guest_has_time_for_every_reload_and_every_connection_to_time_out() -> None:
    plan = guest_plan(LOST_ADDRESS, "real")
    checks = sum(step.verb == "check" for step in plan.steps)
    waits = sum(step.after for step in plan.steps if isinstance(step.after, float))
    connections = checks * len(plan.destinations) * plan.connection_seconds
    # 30 s for HAProxy's word and 20 s for the addresses to settle, after each of two reloads.
    assert plan.seconds > 2 * (30 + 20) + waits + connections
