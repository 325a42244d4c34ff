"""The watch: prober, sampler and log together, as a sequence has them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.guest import watch
from provision.guest.connections import Target
from provision.guest.watch import Watch
from tests.unit.servers import BEHAVIOURS, closed_port, server


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "haproxy.log"
    path.touch()
    monkeypatch.setattr(watch, "LOG", path)
    return path


def test_what_is_seen_is_on_one_clock_and_steadiness_is_what_it_says(log: Path) -> None:
    port = closed_port()
    target = Target(f"127.0.0.1:{port}", "127.0.0.1", port, None)
    watched = Watch([target], Path("/"), 0.02, 1.0, time.monotonic())
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
    dues = [record[1] for record in watched.records]
    assert dues == sorted(dues)
    assert watched.records[0][4] == "refused"
    assert watched.listeners["sampling"]["samples"] > 5
    assert watched.probing["cpu_seconds"] > 0
