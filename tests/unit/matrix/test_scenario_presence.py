"""The addresses that are present at each reload of a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.matrix.scenario import Scenario, load_scenario, presence
from hatester.matrix.steps import Reload
from tests.factories.own_scenario import SCENARIOS, STARTED, V4, V6, folder, write

__all__ = ["folder"]

SECURE = [*V4, "192.168.42.45:443"]


def load(name: str) -> Scenario:
    return load_scenario(SCENARIOS / name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lost-address", {4: V4[1:], 6: V4[1:]}),
        ("address-returns", {4: V4[1:], 6: V4[1:]}),
        ("port-freed", {4: V4}),
        ("recovery", {3: V4[1:], 6: V4}),
        ("missing-certificate", {3: SECURE, 5: SECURE}),
        ("hitless", dict.fromkeys(range(3, 13), V4)),
        ("lost-address-v6", {4: V6[1:], 6: V6[1:]}),
        ("tentative-v6", {4: V6}),
        ("device-recreated", {3: V4, 7: V4}),
        ("reload-storm", {**dict.fromkeys(range(3, 14), V4), 15: V4}),
    ],
)
def test_addresses_at_each_reload(name: str, expected: dict[int, list[str]]) -> None:
    scenario = load(name)
    found = {
        number: sorted(bind.label for bind in there.throughout)
        for number, there in presence(scenario).items()
        if isinstance(scenario.steps[number - 1], Reload)
    }
    assert found == {number: sorted(labels) for number, labels in expected.items()}


def test_returning_address_is_there_in_the_end() -> None:
    scenario = load("address-returns")
    found = next(
        there
        for number, there in reversed(presence(scenario).items())
        if isinstance(scenario.steps[number - 1], Reload)
    )
    assert {*found.finally_} - {*found.throughout} == {scenario.binds[0]}


@pytest.mark.parametrize(
    ("after_the_reload", "lost"),
    [
        ("- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- remove: {what: 192.168.42.45, after: 1}\n- add: 192.168.42.45", {".45"}),
        ("- wait: reported\n- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- check: {after: 0}\n- remove: {what: 192.168.42.45, after: 1}", {".45"}),
        ("- remove: {what: dummy0, after: 0}", {".43", ".44", ".45"}),
        # A step that waits for the end of the observation is not part of it, nor are later steps.
        ("- remove: 192.168.42.45", set()),
        ("- check\n- remove: {what: 192.168.42.45, after: 1}", set()),
        ("- wait: steady\n- remove: {what: 192.168.42.45, after: 1}", set()),
    ],
)  # fmt: skip
def test_address_removed_meanwhile_is_absent(
    folder: Path, after_the_reload: str, lost: set[str]
) -> None:
    scenario = write(folder, f"{STARTED}- reload: with\n{after_the_reload}")
    labels = {bind.label for bind in presence(scenario)[2].throughout}
    assert set(V4) - labels == {f"192.168.42{end}:80" for end in lost}


def test_later_reload_loses_more(folder: Path) -> None:
    steps = "- reload: with\n- reload: {configuration: with, after: 1}\n"
    scenario = write(folder, f"{STARTED}{steps}- remove: {{what: 192.168.42.45, after: 1}}")
    found = presence(scenario)
    assert {*found[2].throughout} - {*found[3].throughout} == {scenario.binds[2]}


def test_interface_returns_with_its_addresses(folder: Path) -> None:
    steps = [
        "remove: 192.168.42.45", "remove: dummy0", "reload: with", "add: dummy0", "reload: with",
        "add: 192.168.42.45/24", "reload: with",
    ]  # fmt: skip
    scenario = write(folder, STARTED + "\n".join(f"- {step}" for step in steps))
    found = presence(scenario)
    assert [[bind.label for bind in found[number].throughout] for number in (4, 6, 8)] == [
        ["*:81"], [V4[0], V4[1], "*:81"], V4,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("addresses", "removed", "promotes", "left"),
    [
        (["43/24", "44/24", "45/24"], "43", False, []),
        (["43/24", "44/24", "45/24"], "43", True, ["44", "45"]),
        (["43/24", "44/24", "45/24"], "44", False, ["43", "45"]),
        (["43/24", "44/25", "45/24"], "43", False, ["44"]),
        (["43/32", "44/32", "45/32"], "43", False, ["44", "45"]),
    ],
)
def test_secondary_addresses_go_with_the_primary_one_of_their_subnet(
    folder: Path, addresses: list[str], removed: str, promotes: bool, left: list[str]
) -> None:
    listed = ", ".join(f"192.168.42.{each}" for each in addresses)
    steps = f"- start: with\n- remove: 192.168.42.{removed}\n- reload: with"
    scenario = write(folder, f"description: x\naddresses: [{listed}]\nsteps:\n{steps}")
    sysctls = {"net.ipv4.conf.dummy0.promote_secondaries": "1"} if promotes else {}
    found = {bind.label for bind in presence(scenario, sysctls)[3].throughout}
    assert found == {"*:81", *(f"192.168.42.{each}:80" for each in left)}


def test_a_secondary_address_that_went_with_another_can_be_added_again(folder: Path) -> None:
    there = "description: x\naddresses: [192.168.42.43/24, 192.168.42.44/24]\nsteps:\n"
    steps = "- start: without\n- remove: 192.168.42.43\n- add: 192.168.42.44\n- reload: without"
    assert V4[1] in {bind.label for bind in presence(write(folder, there + steps))[4].throughout}


def test_tied_wildcard_goes_with_the_interface(folder: Path) -> None:
    (folder / "with.cfg").write_text("frontend x\n bind *:82 interface dummy0\n bind *:83\n")
    scenario = write(folder, f"{STARTED}- remove: dummy0\n- reload: with")
    assert [bind.label for bind in presence(scenario)[3].throughout] == ["*:83", "*:81"]
