"""A run that is interrupted, once or again: it ends in order, with all that was measured."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.factories.live_run import QUICK, machines_of_runs, newest, running
from tests.factories.project import invoke

TWICE = (*QUICK, "--jobs", "1", "--repeat", "2", "--probe-interval", "100ms")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_reported_to_end_keeps_what_it_measured_and_can_be_resumed(
    checkout: Path, number: signal.Signals
) -> None:
    with running(checkout, *TWICE) as matrix:
        # Once in the middle of a start, once after a cell.
        matrix.wait_for("[1/2]" if number is signal.SIGINT else "guest 6.1: going on")
        matrix.interrupt(number)
        assert matrix.end(60) == 130
    assert not machines_of_runs()
    measured = 1 if number is signal.SIGINT else 0
    assert f"Interrupted: {measured} of 2 cells were measured" in matrix.text
    run = newest(checkout)
    assert (len(run["cells"]), run["finished"]) == (measured, None)
    assert f"results: {checkout}/results/{run['run']}/run.json" in matrix.printed
    if measured:
        assert "./bootstrap invoke matrix --resume" in matrix.text
        done = invoke("matrix", "--resume", "--jobs", "1", folder=checkout, seconds=600)
        assert done.returncode == 0, done.stderr
        again = newest(checkout)
        assert again["run"] == run["run"]
        assert again["finished"]
        assert len(again["cells"]) == 2
        assert all(cell in again["cells"] for cell in run["cells"])


@pytest.mark.seeds("twice")
def test_who_interrupts_again_only_hears_that_it_is_ending(checkout: Path, seed: int) -> None:
    rng = random.Random(seed)
    with running(checkout, *TWICE) as matrix:
        matrix.wait_for("guest 6.1: going on")
        # A point in time is what is tried here, and there.
        time.sleep(rng.uniform(0, 8))
        matrix.interrupt()
        while not matrix.has_ended:
            time.sleep(rng.uniform(0.01, 0.3))
            matrix.interrupt(rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
        assert matrix.end(60) == 130, matrix.text
    assert "Traceback" not in matrix.text
    assert not machines_of_runs()


@pytest.mark.long
def test_a_time_limit_ends_it_in_order(checkout: Path) -> None:
    with running(checkout, *TWICE, "--time-limit", "8s") as matrix:
        assert matrix.end(60) == 3
    assert "The time limit was reached. " in matrix.text
    assert "--resume goes on with the rest" in matrix.text
    assert not machines_of_runs()
