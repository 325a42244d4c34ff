"""What a guest is told to do for a cell."""

from __future__ import annotations

from hatester.matrix import Setting
from hatester.paths import MATRIX
from hatester.scenarios import load_scenario
from hatester.sequence import guest_plan

SCENARIO = load_scenario(MATRIX / "scenarios/lost-address")
SETTING = Setting.model_validate(
    {"sysctls": {"net.ipv4.ip_nonlocal_bind": "1"}, "arguments": ["-dR"], "bind": ["transparent"]}
)


def test_the_plan_has_all_that_the_guest_needs_and_the_steps_by_their_numbers() -> None:
    plan = guest_plan("2.2", SETTING, SCENARIO)
    assert plan["tree"] == "/opt/haproxy/2.2"
    assert plan["arguments"] == ["-dR"]
    assert plan["sysctls"] == {"net.ipv4.ip_nonlocal_bind": "1"}
    assert [step["verb"] for step in plan["steps"]] == [step.verb for step in SCENARIO.steps]
    assert "bind 192.168.42.43:80 transparent\n" in plan["steps"][0]["text"]
    assert plan["steps"][2]["address"] == "192.168.42.43/32"


def test_what_should_not_answer_is_asked_last() -> None:
    last_check = guest_plan("2.2", Setting(), SCENARIO)["steps"][-1]
    assert [target["label"] for target in last_check["targets"]] == [
        "192.168.42.44:80", "192.168.42.45:80", "*:81", "192.168.42.43:80",
    ]  # fmt: skip


def test_the_guest_has_time_for_every_connection_to_time_out() -> None:
    plan = guest_plan("2.2", Setting(), SCENARIO)
    connections = sum(len(step["targets"]) for step in plan["steps"] if step["verb"] == "check")
    assert plan["seconds"] > connections * plan["connection_seconds"]
