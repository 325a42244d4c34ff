"""Runs side by side, and files that are deleted under them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatester.guests import machines
from tests.factories.live_run import (
    QUICK,
    awaited,
    comes_through,
    machines_of_runs,
    newest,
    running,
)
from tests.factories.processes import has_ended
from tests.factories.project import invoke

pytestmark = pytest.mark.long
WORDS = (*QUICK, "--jobs", "1", "--probe-interval", "100ms")


def test_two_runs_in_one_checkout_have_results_of_their_own(checkout: Path) -> None:
    def measure(setting: str) -> str:
        words = [*WORDS, "--setting", setting]
        done = invoke("matrix", *words, folder=checkout, seconds=600)
        assert done.returncode == 0, done.stdout + done.stderr
        [line] = [each for each in done.stdout.splitlines() if each.startswith("results: ")]
        return line.removeprefix("results: ")

    with ThreadPoolExecutor() as pool:
        files = list(pool.map(measure, ["nonlocal-bind", "transparent"]))
    assert len(set(files)) == 2
    for file in files:
        cells = json.loads(Path(file).read_text())["cells"]
        assert [comes_through(cell) for cell in cells] == [True, True]


def test_a_run_that_another_process_measures_is_not_resumed_beside_it(checkout: Path) -> None:
    with running(checkout, *WORDS, "--repeat", "2") as matrix:
        matrix.wait_for("guest 6.1: going on")
        done = invoke("matrix", "--resume", folder=checkout, seconds=60)
        assert done.returncode == 2
        assert "is being measured by another process" in done.stderr
        assert invoke("report", "latest", folder=checkout).returncode == 0
        assert matrix.end(300) == 0, matrix.text


def test_machines_whose_folder_is_deleted_under_a_run_are_replaced_and_ended(
    checkout: Path,
) -> None:
    with running(checkout, *WORDS, "--repeat", "2") as matrix:
        awaited("a cell", lambda: matrix.is_at_work("6.1"), 120)
        assert matrix.folder
        shutil.rmtree(matrix.folder / "machines")
        assert matrix.end(300) == 0, matrix.text
    assert len(newest(checkout)["cells"]) == 2
    assert not machines_of_runs()


def test_a_machine_by_hand_whose_folder_is_deleted_is_ended_by_the_next_run(checkout: Path) -> None:
    assert invoke("images", "--kernel", "6.1", folder=checkout, seconds=900).returncode == 0
    state = checkout / ".vagrant"
    subprocess.run(["vagrant", "up", "6.1"], cwd=checkout, check=True, timeout=300)
    pid = next(
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if os.fsencode(state) in _command(process)
    )
    shutil.rmtree(state)
    assert pid in machines.strays()
    with machines.machines_folder("next"):
        assert has_ended(pid)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
