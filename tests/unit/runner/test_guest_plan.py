"""The plan that a guest gets for a cell."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import strategies as st

from hatester.matrix.declarations import Setting, load_matrix
from hatester.matrix.scenario import load_scenario
from hatester.runner.guest_plan import PROBE_INTERVAL, Order, guest_plan
from hatester.runner.seed import draw
from hatester.util.paths import MATRIX
from provision.guest.plan import RACING, Destination, Plan
from provision.guest.protocol import encode
from tests.factories.own_scenario import folder, write

__all__ = ["folder"]

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


def planned(name: str, setting: Setting = SETTING, upgrade_to: str = "") -> Plan:
    """Return the plan of a shipped scenario."""
    scenario = load_scenario(MATRIX / "scenarios" / name)
    order = dataclasses.replace(
        LOST_ADDRESS, scenario=scenario, setting=setting, upgrade_to=upgrade_to
    )
    return guest_plan(order, "real")


def test_steps_are_sent_in_the_guests_words() -> None:
    server, *_ = [step for step in planned("server-stopped").steps if "server" in step.verb]
    assert (server.verb, server.what) == ("stop-server", "10.0.0.6:8080")
    [asked, *_] = [step for step in planned("server-stopped").steps if step.verb == "ask"]
    assert (asked.what, asked.socket) == ("show servers state", "/run/haproxy-admin.sock")
    [asked] = [step for step in planned("cli-gone").steps if step.verb == "ask"]
    assert (asked.what, asked.socket) == ("show proc", "")
    [wait] = [step for step in planned("old-workers-with-peers").steps if step.verb == "wait"]
    assert (wait.what, wait.seconds) == ("20s", 20)
    [second] = [step for step in planned("stray-instance").steps if step.verb == "second"]
    assert (second.what, "stray.http" in second.text) == ("stray", True)
    [upgrade] = [step for step in planned("upgrade", upgrade_to="3.2").steps if step.tree]
    assert (upgrade.what, upgrade.tree) == ("3.2", "/opt/haproxy/3.2")
    start = planned("started-again").steps[0]
    assert (start.may_fail, start.missing) == (True, ["192.168.42.43:80"])


def test_a_scenario_has_conditions_and_a_setting_comes_first(folder: Path) -> None:
    conditions = """description: x
addresses: [192.168.42.43/32]
sysctls: {net.core.somaxconn: 7, net.ipv4.ip_nonlocal_bind: 0}
nofile: 1024
arguments: [-dM]
report_within: 120s
steps: [{start: with}, {break: root/etc/pki/x}, {mend: root/etc/pki/x}, {reload: with}]
"""
    (folder / "root/etc/pki").mkdir(parents=True)
    (folder / "root/etc/pki/x").write_text("")
    plan = guest_plan(dataclasses.replace(LOST_ADDRESS, scenario=write(folder, conditions)), "real")
    assert plan.sysctls == {"net.core.somaxconn": "7", "net.ipv4.ip_nonlocal_bind": "1"}
    assert (plan.nofile, plan.arguments, plan.report_seconds) == (1024, ["-dM", "-dR"], 120)
    assert plan.seconds > 120
    assert [step.what for step in plan.steps[1:3]] == ["/etc/pki/x"] * 2


def test_a_setting_has_arguments_for_the_process_that_takes_over() -> None:
    assert planned("hitless").takeover == []
    setting = load_matrix(MATRIX).settings["expose-fd"]
    assert planned("hitless", setting).takeover == ["-x", "/run/haproxy-admin.sock"]


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
    scenario = LOST_ADDRESS.scenario.model_copy(update={"probe_interval": own})
    order = dataclasses.replace(LOST_ADDRESS, scenario=scenario, probe_interval=wanted)
    assert guest_plan(order, "real").probe_interval == interval


def test_the_guest_has_time_for_every_reload_and_every_connection_to_time_out() -> None:
    plan = guest_plan(LOST_ADDRESS, "real")
    checks = sum(step.verb == "check" for step in plan.steps)
    waits = sum(step.after for step in plan.steps if isinstance(step.after, float))
    connections = checks * len(plan.destinations) * plan.connection_seconds
    # 30 s for HAProxy's word and 20 s for the addresses to settle, after each of two reloads.
    assert plan.seconds > 2 * (30 + 20) + waits + connections
