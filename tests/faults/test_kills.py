"""After any kill, at any moment, the measured cells are there, and the run is resumed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.factories.live_run import QUICK, Matrix, awaited, comes_through, newest, running

MOST_SECONDS = 16.0
"""Until the kill: a run begins, starts its guest and measures a cell meanwhile."""
VAGRANT_SECONDS = 2.0
"""For which Vagrant runs at least."""
WORDS = (*QUICK, "--jobs", "1", "--repeat", "500", "--probe-interval", "100ms")
"""One run, which all kills hit in turn; it never comes to its end."""


class Campaign:
    """A run that is resumed again and again, and what it has measured so far."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.measured: dict[int, dict[str, Any]] = {}

    @property
    def words(self) -> tuple[str, ...]:
        has_begun = (self.checkout / "results/latest").exists()
        return ("--resume", "--jobs", "1") if has_begun else WORDS

    def check(self) -> None:
        """All that was measured is there as it was, with its evidence, and none of it is wrong."""
        if not (self.checkout / "results/latest").exists():
            return
        cells = {cell["repetition"]: cell for cell in newest(self.checkout)["cells"]}
        lost = [number for number, cell in self.measured.items() if cells.get(number) != cell]
        assert not lost
        for number, cell in cells.items():
            # Of HAProxy, a kill says nothing.
            assert cell["error"] or comes_through(cell), cell["explanation"]
            if cell["verdict"] != "error":
                again = "" if number == 1 else f"repetition-{number}"
                evidence = self.checkout / "results/latest/cells" / cell["id"] / again
                assert json.loads((evidence / "timeline.json").read_text())["probes"]
        self.measured = cells


@pytest.fixture(scope="module")
def campaign(checkout: Path) -> Campaign:
    return Campaign(checkout)


def kill(pids: list[int]) -> bool:
    """Kill those that are there still; whether any was."""
    killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return bool(killed)


def pass_by(matrix: Matrix, seconds: float) -> None:
    """Let a run go on for so long, or until it ends."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        matrix.process.wait(seconds)


def go_on(matrix: Matrix) -> None:
    """Another cell is measured, and the run ends in order when it is interrupted."""
    before = matrix.count("[")
    awaited("another cell", lambda: matrix.has_ended or matrix.count("[") > before, 300)
    matrix.interrupt()
    assert matrix.end(120) == 130, matrix.text


@pytest.mark.seeds("kill")
def test_what_was_measured_stays_whatever_is_killed_whenever(campaign: Campaign, seed: int) -> None:
    rng = random.Random(seed)
    with running(campaign.checkout, *campaign.words) as matrix:
        match ("run", "qemu", "vagrant")[seed % 3]:
            case "run":
                pass_by(matrix, rng.uniform(0, MOST_SECONDS))
                matrix.process.kill()
                matrix.end(10)
            case "qemu":
                pass_by(matrix, rng.uniform(0, MOST_SECONDS))
                awaited("a guest", lambda: kill(matrix.qemu), 120)
                go_on(matrix)
            case "vagrant":
                awaited("Vagrant", lambda: matrix.vagrant, 120)
                pass_by(matrix, rng.uniform(0, VAGRANT_SECONDS))
                kill(matrix.vagrant)
                go_on(matrix)
    campaign.check()
