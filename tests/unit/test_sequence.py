"""What a guest is told to do for a cell."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hatester.matrix import Setting
from hatester.paths import MATRIX
from hatester.scenarios import load_scenario
from hatester.sequence import PROBE_INTERVAL, Order, guest_plan

SETTING = Setting.model_validate(
    {"sysctls": {"net.ipv4.ip_nonlocal_bind": "1"}, "arguments": ["-dR"], "bind": ["transparent"]}
)
LOST_ADDRESS = Order("2.2", SETTING, load_scenario(MATRIX / "scenarios/lost-address"), "cli")


def test_the_plan_has_all_that_the_guest_needs_and_the_steps_by_their_numbers() -> None:
    plan = guest_plan(LOST_ADDRESS)
    assert (plan["tree"], plan["method"]) == ("/opt/haproxy/2.2", "cli")
    assert plan["arguments"] == ["-dR"]
    assert plan["sysctls"] == {"net.ipv4.ip_nonlocal_bind": "1"}
    assert [step["verb"] for step in plan["steps"]] == [
        "start", "check", "remove", "reload", "check", "reload", "check",
    ]  # fmt: skip
    assert "bind 192.168.42.43:80 transparent\n" in plan["steps"][0]["text"]
    assert [step["what"] for step in plan["steps"] if "what" in step] == [
        "with", "192.168.42.43", "without", "with",
    ]  # fmt: skip
    assert plan["steps"][5]["present"] == ["192.168.42.44:80", "192.168.42.45:80", "*:81"]
    assert plan["targets"][-1] == {
        "label": "*:81", "address": "127.0.0.1", "port": 81, "interface": None, "answer": "named",
    }  # fmt: skip


def test_an_added_address_has_a_prefix_length(tmp_path: Path) -> None:
    for name in ("address-returns", "tentative-v6"):
        order = dataclasses.replace(
            LOST_ADDRESS, scenario=load_scenario(MATRIX / "scenarios" / name)
        )
        [added] = [step for step in guest_plan(order)["steps"] if step["verb"] == "add"]
        assert added["what"] in ("192.168.42.43/32", "fd00:42::43/64")


@pytest.mark.parametrize(
    ("own", "wanted", "interval"),
    [(None, None, PROBE_INTERVAL), (0.01, None, 0.01), (0.01, 0.1, 0.1)],
)
def test_the_user_decides_how_often_to_probe_else_the_scenario(
    own: float | None, wanted: float | None, interval: float
) -> None:
    scenario = dataclasses.replace(LOST_ADDRESS.scenario, probe_interval=own)
    order = dataclasses.replace(LOST_ADDRESS, scenario=scenario, probe_interval=wanted)
    assert guest_plan(order)["probe_interval"] == interval


def test_the_guest_has_time_for_every_reload_and_every_connection_to_time_out() -> None:
    plan = guest_plan(LOST_ADDRESS)
    checks = sum(step["verb"] == "check" for step in plan["steps"])
    waits = sum(step["after"] or 0 for step in plan["steps"])
    connections = checks * len(plan["targets"]) * plan["connection_seconds"]
    # 30 s for HAProxy's word and 20 s for the addresses to settle, after each of two reloads.
    assert plan["seconds"] > 2 * (30 + 20) + waits + connections
