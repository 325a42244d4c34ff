"""The agent: a process for each plan, and what its host hears when that fails."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

from provision.guest import agent
from provision.guest.plan import Plan
from provision.guest.protocol import encode
from tests.factories.guest import plan

ENDS, RAISES, READS, IS_KILLED = range(4)
"""Seeds of plans: what becomes of the process that runs it."""


def run(plan: Plan, requests: TextIO, events: TextIO) -> None:
    """Run a plan by its seed."""
    seed = plan.seed
    if seed == RAISES:
        raise ValueError("no such thing")
    if seed == READS:
        requests.readline()
    if seed == IS_KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps({"event": "end", "seed": seed, "pid": os.getpid()}), file=events, flush=True)


class Host:
    """The host's end of an agent's pipes."""

    def __init__(self, requests: TextIO, events: TextIO) -> None:
        self._requests = requests
        self._events = events

    def send(self, line: str) -> None:
        """Send a line."""
        print(line, file=self._requests, flush=True)

    def hear(self) -> dict[str, Any]:
        """Return the next event."""
        event: dict[str, Any] = json.loads(self._events.readline())
        return event

    def ask(self, seed: int) -> dict[str, Any]:
        """Send a plan; return the event that answers it."""
        self.send(encode(plan(seed=seed)))
        return self.hear()


def serve(requests: int, events: int, *others: int) -> None:
    for other in others:
        os.close(other)
    with os.fdopen(requests) as asked, os.fdopen(events, "w") as said:
        agent.serve(asked, said, run)


@contextlib.contextmanager
def served() -> Iterator[Host]:
    """Serve a host by an agent, which ends when the host goes."""
    (requests, ours), (heard, events) = os.pipe(), os.pipe()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=serve, args=(requests, events, ours, heard), daemon=True)
    process.start()
    os.close(requests)
    os.close(events)
    try:
        with os.fdopen(heard) as hearing:
            with os.fdopen(ours, "w") as sending:
                yield Host(sending, hearing)
            process.join(10)
            assert process.exitcode == 0
    finally:
        process.kill()


def test_each_plan_has_a_process_of_its_own() -> None:
    with served() as host:
        assert host.hear() == {"event": "serving"}
        first, second = host.ask(ENDS), host.ask(ENDS)
    assert first["event"] == second["event"] == "end"
    assert first["pid"] != second["pid"]


@pytest.mark.parametrize(
    ("seed", "reason"),
    [(RAISES, "ValueError: no such thing"), (IS_KILLED, "it was killed by SIGKILL")],
)
def test_broken_sequence_is_reported_and_others_go_on(seed: int, reason: str) -> None:
    with served() as host:
        host.hear()
        broken = host.ask(seed)
        assert broken["event"] == "broken"
        assert reason in broken["reason"]
        assert host.ask(ENDS)["event"] == "end"


def test_line_left_of_an_earlier_plan_is_skipped() -> None:
    with served() as host:
        host.hear()
        host.send(encode(plan(seed=READS)))
        host.send("")
        assert host.hear()["seed"] == READS
        host.send("")
        assert host.ask(ENDS)["seed"] == ENDS
