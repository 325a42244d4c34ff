"""A cell's steps, on a made-up clock: their order, their moments, and how a cell ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.guest import haproxy
from provision.guest.errors import GuestError, HAProxyEnded
from provision.guest.plan import RACING
from provision.guest.protocol import encode
from tests.factories.guest import FAILURE, SUCCESS, MadeUpGuest, MadeUpHost, plan

GRID = 0.1
START, RELOAD, CHECK = {"verb": "start"}, {"verb": "reload"}, {"verb": "check"}
STOP = {"verb": "stop", "what": None}


@pytest.fixture
def guest() -> MadeUpGuest:
    return MadeUpGuest(targets=2)


@pytest.fixture
def host() -> MadeUpHost:
    return MadeUpHost()


def run(guest: MadeUpGuest, host: MadeUpHost, *steps: dict[str, Any], **further: Any) -> Any:
    """Run a sequence; return its evidence."""
    sequence = host.sequence(plan(*steps, **further), guest.setup())
    sequence.run()
    return json.loads(encode(sequence.evidence()))


def is_on_grid(moment: float, step: float = GRID) -> bool:
    return abs(moment / step - round(moment / step)) < 1e-6


def test_steps_are_taken_in_order_and_undone(guest: MadeUpGuest, host: MadeUpHost) -> None:
    remove, occupy = {"verb": "remove", "what": "a"}, {"verb": "occupy", "what": "*:80"}
    broken = {"verb": "break", "what": "x.http"}
    evidence = run(guest, host, START, remove, occupy, broken, RELOAD, CHECK, sysctls={"x": "1"})
    assert [what for _, what in guest.done] == [
        "make", "serve", "sysctl x=1", "start", "remove a", "occupy *:80", "break_ x.http",
        "reload", "check a", "check b", "end", "stop",
    ]  # fmt: skip
    assert [step["step"] for step in evidence["steps"]] == [1, 2, 3, 4, 5, 6]
    assert guest.recorder.is_stopped


def test_steps_begin_on_the_grid(guest: MadeUpGuest, host: MadeUpHost) -> None:
    evidence = run(guest, host, START, {**RELOAD, "delay": 0.03}, RELOAD)
    first, second, third = (step["at"] for step in evidence["steps"])
    assert is_on_grid(first)
    assert is_on_grid(second - 0.03)
    assert is_on_grid(third)
    assert third > evidence["reloads"][0]["until"]


def test_step_after_some_seconds_does_not_wait(guest: MadeUpGuest, host: MadeUpHost) -> None:
    checks = [{**CHECK, "after": 0.2, "delay": 0.01}, {**RELOAD, "after": 0.3, "delay": 0.01}]
    run(guest, host, START, RELOAD, *checks)
    asked, again = guest.when("reload")
    assert guest.when("check a") == pytest.approx([asked + 0.21])
    assert again == pytest.approx(asked + 0.3)


def test_overtaken_reload_is_kept(guest: MadeUpGuest, host: MadeUpHost) -> None:
    evidence = run(guest, host, START, RELOAD, {**RELOAD, "after": 0.2})
    first, second = evidence["reloads"]
    assert (first["steady"], first["processes"]) == (False, None)
    assert first["until"] == second["at"]
    assert (second["steady"], second["processes"]) == (True, "1 worker")


def test_racing_gap_is_a_share_of_a_reload(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.reports = [(0.8, SUCCESS), (0.5, SUCCESS), (0.5, SUCCESS)]
    evidence = run(guest, host, START, RELOAD, RELOAD, {**RELOAD, "after": RACING}, race=0.25)
    _, asked, raced = guest.when("reload")
    assert raced - asked == pytest.approx(0.2)
    gaps = [reload["gap"] for reload in evidence["reloads"]]
    assert gaps == [None, None, pytest.approx(0.2)]


def test_race_needs_a_reported_reload(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.reports = [(1000.0, FAILURE)]
    with pytest.raises(GuestError, match="no reload whose length"):
        run(guest, host, START, RELOAD, {**RELOAD, "after": RACING})
    assert guest.done[-2:] == [(guest.clock.now(), "end"), (guest.clock.now(), "stop")]


@pytest.mark.parametrize(("what", "seconds"), [("reported", 1.5), ("observed", 3.5)])
def test_wait_lasts_until(what: str, seconds: float, guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.reports = [(1.5, SUCCESS)]
    run(guest, host, START, RELOAD, {"verb": "wait", "what": what}, {**CHECK, "after": 0.0})
    [asked], [checked] = guest.when("reload"), guest.when("check a")
    assert asked + seconds <= checked <= asked + seconds + 2 * GRID
    assert is_on_grid(checked)


def test_host_looks_after_each_check(guest: MadeUpGuest, host: MadeUpHost) -> None:
    run(guest, host, START, CHECK, RELOAD)
    assert [event["event"] for event in host.events] == ["begin", "next", "next"]
    asked, last = host.events[1:]
    assert (asked["step"], last["step"]) == (3, None)
    assert [step["verb"] for step in asked["taken"]] == ["start", "check"]
    [check] = asked["checks"]
    assert set(check["connections"]) == {"a", "b"}
    assert last["checks"] == []
    # The host took a while, of which nothing may be seen.
    assert is_on_grid(guest.when("reload")[0], 1.0)


def test_check_says_when_it_was_made(guest: MadeUpGuest, host: MadeUpHost) -> None:
    run(guest, host, START, RELOAD, {**CHECK, "after": 0.5, "order": [1, 0]})
    [check] = host.events[-1]["checks"]
    assert (check["step"], check["reload"]) == (3, 2)
    ats = {label: found["at"] for label, found in check["connections"].items()}
    assert ats == pytest.approx({"b": 0.5, "a": 0.501})


def test_hanging_address_is_asked_last(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.recorder.become("timeout", target=0)
    run(guest, host, START, CHECK)
    assert [what for _, what in guest.done if what.startswith("check")] == ["check b", "check a"]


def test_host_that_is_gone_ends_the_cell(guest: MadeUpGuest) -> None:
    with pytest.raises(GuestError, match="the host has gone"):
        run(guest, MadeUpHost(answers=""), START, CHECK, RELOAD)
    assert [what for _, what in guest.done][-2:] == ["end", "stop"]


def test_haproxy_that_does_not_start(
    guest: MadeUpGuest, host: MadeUpHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(haproxy, "LOG", tmp_path / "log")
    (tmp_path / "log").write_text("[ALERT] (1) : cannot bind\n")
    guest.failing["start"] = HAProxyEnded("status 1")
    evidence = run(guest, host, {**START, "missing": ["b"]}, RELOAD)
    ended = evidence["ended"]
    assert (ended["step"], ended["is_start"], ended["reason"]) == (1, True, "status 1")
    assert ended["missing"] == ["b"]
    assert [line for _, line in evidence["log"]] == ["[ALERT] (1) : cannot bind"]
    assert not guest.when("reload")


def test_start_that_may_fail_does_not_end_the_story(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.failing["start"] = HAProxyEnded("status 1")
    may_fail = {**START, "may_fail": True, "missing": ["b"]}
    evidence = run(guest, host, may_fail, CHECK)
    [failed] = evidence["failed_starts"]
    assert (failed["step"], failed["reason"], failed["missing"]) == (1, "status 1", ["b"])
    assert guest.when("check a")
    assert evidence["ended"] is None


def test_stopped_haproxy_has_not_ended(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.processes = []
    evidence = run(guest, host, START, RELOAD, STOP)
    assert evidence["ended"] is None
    assert [what for _, what in guest.done][-3:] == ["end HAProxy", "end", "stop"]
    assert run(MadeUpGuest(2), host, START, RELOAD, STOP, START, RELOAD)["ended"] is None


def test_restart_is_observed_as_a_reload_is(guest: MadeUpGuest, host: MadeUpHost) -> None:
    evidence = run(guest, host, START, {"verb": "restart"}, CHECK)
    [restart] = evidence["reloads"]
    assert (restart["verb"], restart["step"], restart["reported"]) == ("restart", 2, "success")
    assert host.events[-1]["checks"][0]["reload"] == 2


def test_wait_lasts_for_seconds_while_a_reload_is_observed(
    guest: MadeUpGuest, host: MadeUpHost
) -> None:
    wait = {"verb": "wait", "what": "14s", "seconds": 14.0}
    evidence = run(guest, host, START, RELOAD, wait, CHECK)
    [asked], [checked] = guest.when("reload"), guest.when("check a")
    assert asked + 14 <= checked <= asked + 15 + 2 * GRID
    [reload] = evidence["reloads"]
    assert reload["reported_at"] == pytest.approx(asked + 0.5, abs=0.05)


def test_changes_and_questions_are_passed_on(guest: MadeUpGuest, host: MadeUpHost) -> None:
    steps = [
        {"verb": "second", "what": "stray", "text": "global"},
        {"verb": "upgrade", "what": "3.2", "tree": "/opt/haproxy/3.2"},
        {"verb": "stop-server", "what": "10.0.0.5:80"},
        {"verb": "start-server", "what": "10.0.0.5:80"},
        {"verb": "drop", "what": "10.0.0.5"},
        {"verb": "pass", "what": "10.0.0.5"},
        {"verb": "ask", "what": "show proc"},
        {"verb": "run", "what": "echo $PID; exit 3"},
    ]
    evidence = run(guest, host, START, *steps, RELOAD)
    assert [what for _, what in guest.done][3:9] == [
        "second global", "upgrade /opt/haproxy/3.2", "server stop 10.0.0.5:80",
        "server start 10.0.0.5:80", "drop 10.0.0.5", "pass_ 10.0.0.5",
    ]  # fmt: skip
    asked, ran = evidence["replies"]
    assert (asked["step"], asked["text"], asked["error"]) == (8, "the answer to show proc", None)
    assert (ran["step"], ran["text"], ran["exit_code"]) == (9, "\n", 3)


def test_haproxy_that_ends_before_a_reload(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.failing["reload"] = HAProxyEnded("no master")
    evidence = run(guest, host, START, RELOAD, CHECK)
    assert (evidence["ended"]["step"], evidence["ended"]["reason"]) == (2, "no master")
    assert not guest.when("check a")
    assert host.events[-1]["step"] is None


def test_haproxy_that_is_gone_in_the_end(guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.processes = []
    ended = run(guest, host, START, RELOAD)["ended"]
    assert (ended["step"], ended["reason"]) == (None, "HAProxy has ended")


@pytest.mark.parametrize("lenient", [True, False])
def test_missing_sysctl(lenient: bool, guest: MadeUpGuest, host: MadeUpHost) -> None:
    guest.failing["sysctl x=1"] = GuestError("no sysctl x")
    sysctls = {"x": "1", "y": "2"}
    if lenient:
        assert run(guest, host, START, sysctls=sysctls, lenient=True)["lacking"] == ["x"]
        assert guest.when("sysctl y=2")
    else:
        with pytest.raises(GuestError, match="no sysctl x"):
            run(guest, host, START, sysctls=sysctls)
        assert not guest.when("start")


def test_guest_is_held_until_the_host_says_so(guest: MadeUpGuest, host: MadeUpHost) -> None:
    run(guest, host, START, {"verb": "remove", "what": "a"}, hold=True)
    assert [event["event"] for event in host.events] == ["begin", "next", "held"]
    assert guest.recorder.is_stopped


def test_processes_are_masters_or_workers(guest: MadeUpGuest, host: MadeUpHost) -> None:
    kinds = {7: "haproxy", 8: "stranger"}
    guest.recorder.listeners["processes"] = [
        {"pid": pid, "kind": kind, "start": 0.0, "end": 1.0} for pid, kind in kinds.items()
    ]
    found = run(guest, host, START)["processes"]
    assert {each["pid"]: each["kind"] for each in found} == {7: "worker", 8: "stranger"}
