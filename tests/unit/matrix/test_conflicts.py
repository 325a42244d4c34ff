"""Conflicts: what `plan` foresees to fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hatester.matrix.binds import Configuration
from hatester.matrix.conflicts import find_conflicts
from hatester.matrix.declarations import load_matrix
from hatester.matrix.plan import Wanted, make_plan
from hatester.util.paths import MATRIX

ADDRESSES = "description: x\naddresses: [192.168.42.44/32, 192.168.42.45/32]\nsteps:\n"


def conflicts(folder: Path, steps: str, setting: str = "plain") -> list[str]:
    """Return the conflicts of steps with the configurations of lost-address."""
    shutil.copytree(MATRIX, folder / "matrix")
    scenario = folder / "matrix/scenarios/lost-address/scenario.yml"
    scenario.write_text(ADDRESSES + "".join(f"- {each}\n" for each in steps.split("; ")))
    wanted = Wanted(["6.1"], ["2.2"], [setting], ["lost-address"])
    return find_conflicts(make_plan(load_matrix(folder / "matrix"), wanted))


def test_an_absent_address_at_the_start_is_foreseen(tmp_path: Path) -> None:
    assert conflicts(tmp_path, "start: with; reload: with") == [
        "lost-address: step 1, start with: 192.168.42.43:80 is not there, so HAProxy does not "
        "start (setting: plain)."
    ]


@pytest.mark.parametrize("setting", ["nonlocal-bind", "transparent"])
def test_a_setting_may_allow_to_bind_it(tmp_path: Path, setting: str) -> None:
    assert conflicts(tmp_path, "start: with; reload: with", setting) == []


def test_the_scenario_may_allow_to_bind_it(tmp_path: Path) -> None:
    steps = "start: with; reload: with\nsysctls: {net.ipv4.ip_nonlocal_bind: '1'}"
    assert conflicts(tmp_path, steps) == []


def test_a_bind_may_be_transparent() -> None:
    text = "frontend x\n bind 10.0.0.1:80 transparent\n bind 10.0.0.2:80\n"
    found = Configuration("x", text).binds
    assert [each.is_transparent for each in found] == [True, False]


@pytest.mark.parametrize("what", ["192.168.42.44:80", "'*:80'", "192.168.42.44:81"])
def test_a_port_that_haproxy_holds_cannot_be_occupied(tmp_path: Path, what: str) -> None:
    [found] = conflicts(tmp_path, f"start: without; occupy: {what}; reload: without")
    assert "step 2, occupy" in found
    assert "HAProxy listens at" in found


def test_what_haproxy_does_not_hold_can_be_occupied(tmp_path: Path) -> None:
    steps = "start: without; add: 192.168.42.43; occupy: 192.168.42.43:80; reload: with"
    assert conflicts(tmp_path, steps) == []


def test_a_start_that_may_fail_is_no_conflict(tmp_path: Path) -> None:
    steps = "start: {configuration: with, may: fail}; add: 192.168.42.43; start: with; reload: with"
    assert conflicts(tmp_path, steps) == []


def test_of_the_shipped_scenarios_one_has_a_conflict() -> None:
    [found] = find_conflicts(make_plan(load_matrix(MATRIX, "full"), Wanted()))
    assert found.startswith("start-on-the-backup-node: step 1")
    assert found.endswith("(setting: plain).")
