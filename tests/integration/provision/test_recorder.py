"""The watch: prober, sampler and log together, as a sequence has them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.guest import recorder
from provision.guest.clients import Clients
from provision.guest.clock import Clock
from provision.guest.connections import Target
from provision.guest.plan import Destination, PlannedClients
from provision.guest.recorder import Recorder
from tests.factories.servers import BEHAVIOURS, closed_port, server

NONE = Clients((), lambda _: Target("", "", 0, None), "", 1.0, 0.0)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "haproxy.log"
    path.touch()
    monkeypatch.setattr(recorder, "LOG", path)
    return path


def test_recorder_follows_an_address(log: Path) -> None:
    port = closed_port()
    target = Target(f"127.0.0.1:{port}", "127.0.0.1", port, None)
    watched = Recorder([target], Path("/"), 0.02, 1.0, Clock(time.monotonic()), NONE, [])
    try:
        assert watched.wait(lambda: watched.is_steady(0.3), 30)
        assert watched.outcome(0) == "refused"
        assert watched.unanswered() > 0.3
        with server(BEHAVIOURS["answers"], port):
            assert watched.wait(lambda: watched.outcome(0) == "ok", 30)
            assert not watched.is_steady(0.3)
            assert watched.wait(lambda: watched.is_steady(0.3), 30)
            assert watched.unanswered() < 0.3
            before = watched.now()
            with log.open("a") as file:
                file.write("Loading success.\nunfin")
            assert watched.wait(lambda: bool(watched.log), 30)
        assert not watched.wait(lambda: False, 0.1)
    finally:
        watched.stop()
    [(at, line)] = watched.log
    assert line == "Loading success."
    assert before <= at + 0.001 <= watched.now()
    records = watched.probes["probes"]
    assert records[0][4] == "refused"
    dues = [record[1] for record in records]
    assert dues == sorted(dues)
    assert watched.listeners["sampling"]["samples"] > 5
    assert watched.probes["probing"]["cpu_seconds"] > 0


def test_log_lines_have_their_times(log: Path) -> None:
    target = Target("x", "127.0.0.1", closed_port(), None)
    log.write_text("early\n")
    watched = Recorder([target], Path("/"), 0.02, 1.0, Clock(time.monotonic()), NONE, [])
    written = []
    try:
        with log.open("a") as file:
            for number in range(5):
                time.sleep(0.15)
                written.append(watched.now())
                file.write(f"{number}\n")
                file.flush()
            file.write("the last\n")
    finally:
        watched.stop()
    assert [line for _, line in watched.log] == ["early", *map(str, range(5)), "the last"]
    late = [at - real for (at, _), real in zip(watched.log[1:], written, strict=False)]
    assert min(late) >= -0.001
    # Nor only when the next one comes.
    assert min(late) < 0.15


def test_clients_are_recorded_beside_the_prober(log: Path) -> None:
    assert log.exists()
    with server(BEHAVIOURS["answers"]) as port:
        here = Destination("here", "127.0.0.1", port, None, "named")
        target = Target("here", "127.0.0.1", port, None)
        planned = [PlannedClients(kind, [here], 0.05) for kind in ("keep-alive", "load", "sparse")]
        clock = Clock(time.monotonic())
        clients = Clients(planned, lambda _: target, "hatester", 1.0, clock.origin)
        watched = Recorder([target], Path("/"), 0.02, 1.0, clock, clients, [])
        try:
            assert watched.wait(lambda: watched.is_steady(0.5), 30)
        finally:
            watched.stop()
    seen = watched.clients
    assert seen.addresses == ("here",)
    for records in (seen.requests, seen.load, seen.sparse):
        assert {each.outcome for each in records} == {"ok"}
