"""The prober, against servers that fail in each way that it distinguishes."""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from provision.guest.connections import CONNECT, Target
from provision.guest.prober import News, Prober, Record
from tests.factories.servers import BEHAVIOURS, closed_port, server

INTERVAL = 0.02


def target(port: int) -> Target:
    return Target(f"127.0.0.1:{port}", "127.0.0.1", port, None)


class Probing:
    """A prober in a process of its own, as in a guest; its records once it has been stopped."""

    def __init__(self, *targets: Target, life: float = 5.0) -> None:
        context = multiprocessing.get_context("fork")
        self.origin = time.monotonic()
        self.connection, there = context.Pipe()
        prober = Prober(list(targets), INTERVAL, life, self.origin)
        self.process = context.Process(target=prober.run, args=(there,), daemon=True)
        self.process.start()
        there.close()
        self.news = News({}, None)
        self.reply: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                reply = self.connection.recv()
                if isinstance(reply, News):
                    self.news = reply
                else:
                    self.reply = reply
            except (EOFError, OSError):
                return

    def wait_for(self, seconds: float) -> None:
        """Until probes of every target have ended for so long."""
        start = self.now()
        self.wait(lambda run: run[2] > start + seconds)

    def wait(self, condition: Callable[[tuple[str, float, float]], bool]) -> None:
        """Until a condition holds for the run of each target."""
        deadline = time.monotonic() + 30
        while not (self.news.runs and all(map(condition, self.news.runs.values()))):
            assert self.process.is_alive()
            assert time.monotonic() < deadline, self.news
            time.sleep(INTERVAL)

    def now(self) -> float:
        return time.monotonic() - self.origin

    def stop(self) -> list[Record]:
        """Its records, in the order in which they were due."""
        self.connection.send("stop")
        self.process.join(30)
        assert self.process.exitcode == 0
        self._thread.join(5)
        records: list[Record] = self.reply["probes"]
        return records


def outcomes(records: list[Record]) -> set[tuple[Any, ...]]:
    return {record[4:] for record in records}


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("answers", ("ok", None, "with")),
        ("answers late", ("ok", None, "late")),
        ("answers in parts", ("ok", None, "parts")),
        ("resets", ("reset", "ECONNRESET", None)),
        ("closes", ("empty", None, None)),
        ("answers 503", ("wrong", None, None)),
        ("answers another", ("wrong", None, None)),
        ("speaks no HTTP", ("wrong", None, None)),
        ("is silent", ("timeout", None, None)),
        ("answers and stays", ("timeout", None, None)),
    ],
)
def test_outcomes(behaviour: str, outcome: tuple[Any, ...]) -> None:
    with server(BEHAVIOURS[behaviour]) as port:
        probing = Probing(target(port), life=0.3 if outcome[0] == "timeout" else 10)
        probing.wait_for(0.3)
        assert outcomes(probing.stop()) == {outcome}


def test_it_reports_what_it_cost() -> None:
    probing = Probing(target(closed_port()))
    probing.wait_for(0.3)
    probing.stop()
    cost = probing.reply["probing"]
    assert 0 < cost["cpu_seconds"] < cost["seconds"] * cost["processors"]


def test_closed_port_refuses() -> None:
    probing = Probing(target(closed_port()))
    probing.wait_for(0.3)
    assert outcomes(probing.stop()) == {("refused", "ECONNREFUSED", None)}


def test_missing_interface_is_unreachable() -> None:
    probing = Probing(Target("x", "127.0.0.1", closed_port(), "nosuch0"))
    probing.wait_for(0.3)
    assert outcomes(probing.stop()) == {("unreachable", "ENODEV", None)}


def test_dropping_server_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        probing = Probing(target(listener.getsockname()[1]), life=0.3)
        probing.wait_for(0.3)
        assert outcomes(probing.stop()) == {("timeout", None, None)}


def test_queued_connections_are_reset() -> None:
    port = closed_port()
    # Both begin before there is a listener, which they would hold open else.
    waiting, impatient = Probing(target(port), life=30), Probing(target(port), life=0.2)
    with socket.create_server(("127.0.0.1", port), backlog=1024):
        impatient.wait(lambda run: run[0] == "timeout")
        closing = waiting.now()
    waiting.wait(lambda run: run[0] == "refused" and run[1] > closing)
    impatient.stop()
    assert {record[4] for record in waiting.stop()} == {"reset", "refused"}


def test_schedule_is_an_open_loop() -> None:
    with server(BEHAVIOURS["is silent"]) as silent, server(BEHAVIOURS["answers"]) as good:
        probing = Probing(target(silent), target(good), life=0.5)
        probing.wait_for(0.6)
        records = probing.stop()
    first, second = ([record for record in records if record[0] == index] for index in (0, 1))
    dues = [record[1] for record in first]
    assert dues == [record[1] for record in second]
    steps = [after - before for before, after in itertools.pairwise(dues)]
    assert steps == pytest.approx([INTERVAL] * len(steps), abs=1e-4)
    assert all(due <= sent <= ended for _, due, sent, ended, *_ in records)
    assert "ok" in {record[4] for record in second}
    assert "ok" not in {record[4] for record in first}


def test_news_have_each_target() -> None:
    with server(BEHAVIOURS["answers"]) as good:
        probing = Probing(target(closed_port()), target(good))
        probing.wait_for(0.3)
        news, now = probing.news, probing.now()
        refused, ok = news.runs[0], news.runs[1]
        assert (refused[0], ok[0]) == ("refused", "ok")
        assert refused[1] < refused[2] <= now
        assert news.answered == ok[2]
        probing.stop()


def test_hundreds_of_probes_live_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        probing = Probing(*[target(port)] * 8, life=1.5)
        probing.wait_for(0.5)
        records = probing.stop()
    assert len(records) > 8 * 1.5 / INTERVAL
    # Connections in the queue are reset when the listener goes.
    lives = [ended - sent for _, _, sent, ended, outcome, *_ in records if outcome == "timeout"]
    assert len(lives) > len(records) / 2
    assert all(life >= 1.5 for life in lives)


def test_outage_is_exact_to_one_interval() -> None:
    port = closed_port()
    with server(BEHAVIOURS["answers"], port):
        probing = Probing(target(port))
        probing.wait_for(0.2)
        before_close = probing.now()
    closed = probing.now()
    probing.wait_for(0.5)
    before_open = probing.now()
    with server(BEHAVIOURS["answers"], port):
        opened = probing.now()
        probing.wait_for(0.2)
        records = probing.stop()
    failed = [index for index, record in enumerate(records) if record[4] != "ok"]
    first, last = failed[0], failed[-1]
    # Nothing that ran its course beside the outage failed, and nothing within it was answered.
    assert all(before_close <= record[3] and record[2] <= opened for record in records[first:last])
    assert all(
        record[4] != "ok" for record in records if closed <= record[2] and record[3] <= before_open
    )
    # The time that no probe could see is at most a step of the schedule, as it was really kept.
    slips = [after[2] - before[2] for before, after in itertools.pairwise(records)]
    # On a busy machine, connections that were made before may still wait for their answer.
    waited = max(0.0, before_close - records[first][2])
    length = records[last + 1][2] - records[first - 1][2]
    assert length <= opened - before_close + waited + 2 * max(slips)


def test_connection_may_be_enough() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        places = (listener.getsockname()[1], closed_port())
        targets = [Target(f"x:{p}", "127.0.0.1", p, None, CONNECT) for p in places]
        probing = Probing(*targets)
        probing.wait_for(0.2)
        records = probing.stop()
    assert {(index, outcome) for index, _, _, _, outcome, _, _ in records} == {
        (0, "ok"), (1, "refused"),
    }  # fmt: skip
