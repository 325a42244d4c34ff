"""The main job, on real guests.

What is asserted is what HAProxy's source makes certain: a configuration that binds a missing
address is never served, unless the kernel may bind it all the same. When a check falls into the
two seconds of bind retries is a matter of the machine's speed, and not asserted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hatester import cache, runs
from tests.helpers import copy_project, invoke

MISSING = "192.168.42.43:80"
PRESENT = ["192.168.42.44:80", "192.168.42.45:80", "*:81"]


def newest(checkout: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((checkout / "results/latest/run.json").read_text())
    return run


def machines_of_runs() -> list[int]:
    return [pid for folder in (cache.root() / "runs").glob("*/") for pid in runs.machines(folder)]


@pytest.fixture(scope="module")
def cells(checkout: Path) -> dict[str, dict[str, Any]]:
    """Two builds with and without the workaround, and a kernel whose suite is not to be had."""
    with (checkout / "matrix/kernels.yml").open("a") as file:
        file.write('  "gone": {suite: nosuch}\n')
    done = invoke(
        "matrix", "--kernel", "gone", "--kernel", "6.1", "--haproxy", "2.2", "--haproxy", "3.0",
        folder=checkout, seconds=1500,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "lost-address by signal, plain" in done.stdout
    assert "has no suite nosuch" in done.stdout
    assert not machines_of_runs()
    run = newest(checkout)
    assert run["finished"]
    return {cell["id"]: cell for cell in run["cells"]}


def cell(cells: dict[str, dict[str, Any]], build: str, setting: str) -> dict[str, Any]:
    return cells[f"6.1/{build}/{setting}/lost-address/signal"]


def test_a_suite_that_the_mirror_lacks_costs_its_own_cells_only(cells: dict[str, Any]) -> None:
    assert len(cells) == 8
    for id_, each in cells.items():
        assert (each["verdict"] == "error") is id_.startswith("gone/"), each["explanation"]


@pytest.mark.parametrize("build", ["2.2", "3.0"])
@pytest.mark.parametrize("setting", ["plain", "nonlocal-bind"])
class TestEveryCell:
    def test_kernel_and_haproxy_are_proven(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        measured = cell(cells, build, setting)
        assert measured["kernel"]["release"].startswith("6.1.")
        assert measured["haproxy"]["version"].startswith(f"{build}.")

    def test_all_answers_before_the_address_is_lost_and_from_outside_too(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        first = cell(cells, build, setting)["checks"][0]
        everything = dict.fromkeys([MISSING, *PRESENT], "ok")
        assert first["outcomes"] == first["outside"] == everything
        assert {each["answer"] for each in first["connections"].values()} == {"with"}
        assert first["at"] >= 2

    def test_an_address_that_was_taken_away_is_unreachable_and_does_not_count(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        for check in cell(cells, build, setting)["checks"][1:]:
            assert check["expected"] == PRESENT
            assert list(check["outcomes"]) == [*PRESENT, MISSING]
            assert check["outcomes"][MISSING] == "unreachable"

    def test_the_good_reload_is_served(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        good = cell(cells, build, setting)["checks"][1]
        assert [good["outcomes"][label] for label in PRESENT] == ["ok"] * 3
        assert [good["outside"][label] for label in PRESENT] == ["ok"] * 3


@pytest.mark.parametrize("build", ["2.2", "3.0"])
def test_without_the_workaround_the_reload_fails_and_is_never_served(
    cells: dict[str, Any], build: str
) -> None:
    measured = cell(cells, build, "plain")
    assert [each["reported"] for each in measured["reloads"]] == ["success", "failure"]
    last = measured["checks"][-1]
    answers = {each["answer"] for each in last["connections"].values()}
    assert answers <= {"without", None}
    failed = any(last["outcomes"][label] != "ok" for label in PRESENT)
    assert measured["verdict"] == ("down" if failed else "ok")


@pytest.mark.parametrize("build", ["2.2", "3.0"])
def test_with_the_workaround_haproxy_binds_and_every_address_answers(
    checkout: Path, cells: dict[str, Any], build: str
) -> None:
    measured = cell(cells, build, "nonlocal-bind")
    assert measured["verdict"] == "ok"
    assert [each["reported"] for each in measured["reloads"]] == ["success", "success"]
    for setting, fails in (("plain", True), ("nonlocal-bind", False)):
        folder = checkout / "results/latest/cells" / cell(cells, build, setting)["id"]
        log = (folder / "haproxy.log").read_text()
        assert (MISSING in log and "ALERT" in log) is fails, log


def test_any_haproxy_runs_on_any_kernel_and_two_runs_at_once_do_no_harm(
    tmp_path: Path,
) -> None:
    def measure(pairs: tuple[str, ...]) -> None:
        checkout = copy_project(tmp_path / pairs[0].replace("/", "-"))
        only = [word for pair in pairs for word in ("--only", f"{pair}/nonlocal-bind/*")]
        done = invoke("matrix", *only, folder=checkout, seconds=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        found = {cell["id"]: cell["verdict"] for cell in newest(checkout)["cells"]}
        assert found == {f"{pair}/nonlocal-bind/lost-address/signal": "ok" for pair in pairs}

    with ThreadPoolExecutor() as pool:
        list(pool.map(measure, [("5.10/3.4", "6.12/2.2"), ("7.2/2.6", "7.3/3.2")]))
    assert not machines_of_runs()


@contextlib.contextmanager
def running(checkout: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A run of Linux 6.1 and HAProxy 2.2, on its way."""
    with subprocess.Popen(
        ["invoke", "matrix", "--kernel", "6.1", "--haproxy", "2.2", *words],
        cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stderr
    for line in process.stderr:
        if line.startswith(beginning):
            return
    pytest.fail(f"no line began with {beginning}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_measured_and_leaves_nothing_running(
    checkout: Path, number: signal.Signals
) -> None:
    with running(checkout) as process:
        # Once in the middle of a boot, once after a cell.
        wait_for_line(process, "[1/2]" if number is signal.SIGINT else "Linux 6.1: starting")
        process.send_signal(number)
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    measured = 1 if number is signal.SIGINT else 0
    assert f"Interrupted: {measured} of 2 cells were measured" in complaint
    run = newest(checkout)
    assert (len(run["cells"]), run["finished"]) == (measured, None)
    assert f"results: {checkout}/results/{run['run']}/run.json" in said
    assert not machines_of_runs()


def test_what_a_killed_run_leaves_is_ended_by_the_next(checkout: Path) -> None:
    with running(checkout) as process:
        wait_for_line(process, "Linux 6.1: starting")
        deadline = time.monotonic() + 60
        while not machines_of_runs() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert machines_of_runs()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
    # Vagrant is told that its run died, and may have ended the machine by now.
    with runs.machines_folder("next"):
        assert not machines_of_runs()


def test_a_guest_that_dies_costs_one_cell_and_is_replaced(checkout: Path) -> None:
    with running(checkout, "--haproxy", "3.0", "--skip", "*/3.0/plain/*") as process:
        wait_for_line(process, "[1/3]")
        [pid] = machines_of_runs()
        os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=600)
    assert process.returncode == 3
    verdicts = [cell["verdict"] for cell in newest(checkout)["cells"]]
    assert (len(verdicts), verdicts[1], verdicts[2]) == (3, "error", "ok")
    assert not machines_of_runs()
