"""Scenarios: the stories of those that exist, and the sentence about a file with a mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hatester.matrix.scenario import Scenario, load_scenario
from hatester.matrix.steps import Check, Step
from hatester.util.errors import UserError
from tests.factories.own_scenario import SCENARIOS, STARTED, folder, write

__all__ = ["folder"]

STORIES = {
    "lost-address": "start with, check, remove 192.168.42.43, reload without, check, reload with, "
    "check",
    "address-returns": "start with, check, remove 192.168.42.43, reload without, check, "
    "reload with, wait retrying, add 192.168.42.43 after 1, check",
    "port-taken": "start without, check, occupy 192.168.42.43:80, reload with, check",
    "port-freed": "start without, check, occupy 192.168.42.43:80, reload with, "
    "wait retrying, free 192.168.42.43:80 after 1, check",
    "recovery": "start without, check, reload with, check, add 192.168.42.43, reload with, check",
    "syntax-error": "start with, check, reload broken, check, reload with, check",
    "missing-certificate": "start with, check, reload secure, check, reload with, check",
    "hitless": "start with, check, " + 10 * "reload with, " + "check",
    "lost-address-v6": "start with, check, remove fd00:42::43, reload without, check, "
    "reload with, check",
    "tentative-v6": "start without, check, add fd00:42::43/64, reload with, check",
    "device-recreated": "start with, check, reload with, check, remove dummy0, add dummy0, "
    "reload with, check",
    "bind-kinds": "start with, check, reload with, check, remove 192.168.42.43, reload without, "
    "check",
    "reload-storm": "start with, check, reload with, reload with, "
    + 9 * "reload with after racing, "
    + "wait steady, reload with, check",
    "idle-keepalive-closed": "start with, check, " + 10 * "reload with, " + "check",
    "idle-keepalive-kept": "start with, check, " + 10 * "reload with, " + "check",
    "load": "start with, check, " + 5 * "reload with, " + "check",
    "sparse": "start with, check, remove 192.168.42.43, reload without, "
    + 4 * "reload with, "
    + "wait 4, check",
    "hung-worker": "start with, check, run read worker </proc/$PID/task/$PID/children; "
    "kill -STOP $worker after 4.5, reload with after 4.5, "
    "run pkill -KILL -P $PID --runstates T after 2, wait 5, check",
    "quic": "start with, check, " + 3 * "reload with, " + "check",
    "certificate-renewed": "start with, check, reload renewed, check, reload renewed, check",
    "sessions-cut": "start with, check, " + 4 * "reload with, " + "check",
    "sessions-held": "start with, check, " + 4 * "reload with, " + "check",
    "dead-server-after-reload": "start with, check, reload with, check",
    "stick-table-lost": "start with, check, reload with, check, reload without, check",
    "newcomers-wait": "start with, check, reload with, check",
    "chroot-missing": "start with, check, reload jailed, check",
    "chroot-missing-then-reload": "start with, check, reload jailed, check, reload with, check",
    "start-on-the-backup-node": "start with, check, add 192.168.42.43, reload with, check",
    "started-again": "start with fail, check, add 192.168.42.43, start with, check, reload with, "
    "check, stop, wait 2, start without, reload without, check",
    "restart": "start with, check, restart with, check",
    "upgrade": "start with, check, upgrade, reload with, check, reload with, check",
    "stray-instance": "start with, check, second stray, reload new, check",
    "old-workers-with-peers": "start with, check, " + 5 * "reload with, " + "wait 20, check",
    "server-stopped": "start with, check, stop 10.0.0.6:8080, wait 3, ask show servers state, "
    "reload with, check, start 10.0.0.6:8080, wait 3, check",
    "server-unreachable": "start with, check, drop 10.0.0.6, wait 5, reload with, check, "
    "pass 10.0.0.6, wait 3, check",
    "master-stopped": "start with, check, run kill -STOP $PID, reload new, check, "
    "run kill -CONT $PID, wait 3, reload new, check",
    "cli-gone": "start with, check, ask show proc master, run rm $ROOT/run/haproxy-master.sock, "
    "reload new, check",
}


def describe(step: Step) -> str:
    """Return a step in a few words; when a check comes matters to no other step."""
    fields = step.model_dump(exclude_defaults=True)
    after = fields.pop("after", None)
    values = (f"{each:g}" if isinstance(each, float) else str(each) for each in fields.values())
    words = [step.verb, *values]
    if after is not None and not isinstance(step, Check):
        words += ["after", after if isinstance(after, str) else f"{after:g}"]
    return " ".join(words)


def load(name: str) -> Scenario:
    return load_scenario(SCENARIOS / name)


def test_every_scenario_has_its_story_here() -> None:
    assert {path.name for path in SCENARIOS.iterdir()} == set(STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_a_scenario_says_its_story(name: str) -> None:
    scenario = load(name)
    assert ", ".join(describe(step) for step in scenario.steps) == STORIES[name]
    assert scenario.description


@pytest.mark.parametrize("name", STORIES)
def test_every_configuration_answers_with_its_name(name: str) -> None:
    scenario = load(name)
    for configuration in scenario.configurations:
        text = scenario.files[f"{configuration}.cfg"]
        if f"{configuration}.http" not in scenario.files:
            assert f'string "OK - {configuration}"' in text
            continue
        # HTTP's lines end with a carriage return, and HAProxy sends the file as it is.
        head, _, body = scenario.files[f"{configuration}.http"].partition("\r\n\r\n")
        assert head.split("\r\n")[0] in ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK")
        assert "\n" not in head.replace("\r\n", "")
        assert body == f"OK - {configuration}\n"
        assert re.findall(r"/etc/haproxy/(\S+)\.http", text) == [configuration]


def test_the_interface_and_the_probes_interval_can_be_chosen(folder: Path) -> None:
    story = f"{STARTED}- reload: with"
    assert (write(folder, story).interface, write(folder, story).probe_interval) == ("dummy0", None)
    scenario = write(folder, f"interface: veth0\nprobe_interval: 0.005\n{story}")
    assert (scenario.interface, scenario.probe_interval) == ("veth0", 0.005)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("addresses: []", "steps: this key is missing"),
        ("addresses: []\nsteps: []", "steps: HAProxy is never reloaded"),
        ("addresses: []\nsteps: x", "steps: expected a list of steps, got 'x'"),
        ("addresses: [y]", "addresses: 0: 'y' is not an address such as 192.168.42.43/32"),
        ("addresses: [10.0.0.1, 10.0.0.1/24]", "addresses: 10.0.0.1 comes twice"),
        ("interface: eth0", "interface: expected 'dummy0' or 'veth0', got 'eth0'"),
        ("addresses: []\nprobe_interval: 0.0009", "probe_interval: expected at least"),
        ("addresses: []\nprobe_interval: 1.1", "probe_interval: expected at most"),
        ("addresses: []\nprobe_interval: nan", "probe_interval: expected "),
    ],
)
def test_a_mistake_in_the_head_names_the_file_and_the_key(
    folder: Path, content: str, sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        write(folder, f"description: x\n{content}")
    assert str(caught.value).startswith(f"{folder / 'scenario.yml'}: {sentence}")


def test_a_bind_without_a_port_is_named(folder: Path) -> None:
    (folder / "with.cfg").write_text("frontend x\n    bind 192.168.42.43\n")
    with pytest.raises(UserError, match=r"with\.cfg: bind 192\.168\.42\.43 has no port"):
        load_scenario(folder)


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "site.pem").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"site\.pem is not UTF-8 text"):
        load_scenario(folder)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("binds: {with: {192.168.42.43: any}}", r"binds: with: 192\.168\.42\.43: .*has no port"),
        ("binds: {with: {'here:80': any}}", "here:80 has the name of a host instead of an address"),
        ("binds: {with: {'*:80': maybe}}", "binds: with: .*'close' or 'connect'"),
        ("binds: {wiht: {'*:80': any}}", "binds: there is no 'wiht'; did you mean with"),
        ("servers: [backend]", "servers: 0: .*has no port"),
    ],
)
def test_what_is_said_of_addresses_is_checked(folder: Path, line: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        write(folder, f"{line}\n{STARTED}- reload: with\n")
    assert str(folder / "scenario.yml") in str(caught.value)
