"""The main job, on real guests.

The tests assert what is certain by HAProxy's source. A configuration that binds a missing address
is never served, unless the kernel may bind it all the same. While HAProxy retries, no address
answers. Emulated guests have a clock of their own, on which the length of that is certain, whatever
the host does meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.factories.live_run import comes_through, machines_of, newest
from tests.factories.project import copy_project, invoke

MISSING = "192.168.42.43:80"
PRESENT = ["192.168.42.44:80", "192.168.42.45:80", "*:81"]


SELECTED = [
    "gone/2.2/plain/lost-address/signal",
    "6.1/*/lost-address/signal",
    "6.1/3.0/plain/lost-address/cli",
    "6.1/2.2/plain/lost-address/soft-finish",
    "6.1/3.0/plain/address-returns/signal",
    "6.1/3.0/plain/lost-file-and-address/systemd",
]
LOST_BOTH = """
description: HAProxy is reloaded while a file that it needs is missing, and then an address
addresses: [192.168.42.43/32, 192.168.42.44/32, 192.168.42.45/32]
steps:
  - start: with
  - break: with.http
  - reload: with
  - wait: reported
  - mend: {what: with.http, after: 0.1}
  - reload: without
  - wait: reported
  - remove: 192.168.42.43
  - reload: with
"""


@pytest.fixture(scope="module")
def cells(checkout: Path) -> dict[str, dict[str, Any]]:
    """Each way to reload, a scenario of one's own, and a kernel whose suite does not exist."""
    with (checkout / "matrix/kernels.yml").open("a") as file:
        file.write('  "gone": {suite: nosuch}\n')
    own = shutil.copytree(
        checkout / "matrix/scenarios/lost-address",
        checkout / "matrix/scenarios/lost-file-and-address",
    )
    (own / "scenario.yml").write_text(LOST_BOTH)
    words = ["--kernel", "gone", "--kernel", "6.1", "--haproxy", "2.2", "--haproxy", "3.0"]
    for scenario in ("lost-address", "address-returns", "lost-file-and-address"):
        words += ["--scenario", scenario]
    for method in ("signal", "cli", "systemd", "soft-finish"):
        words += ["--method", method]
    for pattern in SELECTED:
        words += ["--only", pattern]
    done = invoke("matrix", *words, folder=checkout, seconds=1500)
    assert done.returncode == 3, done.stderr
    assert "lost-address by signal, plain" in done.stdout
    assert "has no suite nosuch" in done.stdout
    assert not machines_of(checkout)
    run = newest(checkout)
    assert run["finished"]
    return {cell["id"]: cell for cell in run["cells"]}


def cell(
    cells: dict[str, dict[str, Any]],
    build: str,
    setting: str = "plain",
    scenario: str = "lost-address",
    method: str = "signal",
) -> dict[str, Any]:
    return cells[f"6.1/{build}/{setting}/{scenario}/{method}"]


def timeline(checkout: Path, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the evidence of a cell of the newest run."""
    file = checkout / "results/latest/cells" / measured["id"] / "timeline.json"
    evidence: dict[str, Any] = json.loads(file.read_text())
    return evidence


def reported(measured: dict[str, Any]) -> list[str]:
    return [reload["reported"] for reload in measured["reloads"]]


def test_a_suite_that_the_mirror_lacks_costs_its_own_cells_only(cells: dict[str, Any]) -> None:
    assert len(cells) == 9
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
        self, checkout: Path, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        measured = cell(cells, build, setting)
        first = measured["checks"][0]
        everything = dict.fromkeys([MISSING, *PRESENT], "ok")
        assert first["outcomes"] == first["outside"] == everything
        connections = timeline(checkout, measured)["checks"][0]["connections"]
        assert {each["answer"] for each in connections.values()} == {"with"}

    def test_an_address_that_was_taken_away_is_unreachable_and_does_not_count(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        measured = cell(cells, build, setting)
        for check in measured["checks"][1:]:
            assert check["outcomes"][MISSING] == "unreachable"
        for reload in measured["reloads"]:
            expected = {label for label, each in reload["addresses"].items() if each["expected"]}
            assert expected == set(PRESENT)
            missing = reload["addresses"][MISSING]
            assert set(missing["failures"]) == {"unreachable"}
            assert missing["failures"]["unreachable"] == missing["probes"]

    def test_the_good_reload_is_served_by_a_new_worker(
        self, cells: dict[str, Any], build: str, setting: str
    ) -> None:
        good = cell(cells, build, setting)["reloads"][0]
        assert (good["reported"], good["true"], good["silent"]) == ("success", True, False)
        for label in PRESENT:
            assert good["addresses"][label]["answers"]["without"] > 0
            holders = [each for each in good["listeners"] if each["address"] == label]
            assert holders[0]["owner"] == "old worker"
            assert holders[-1]["owner"] == "new worker"


@pytest.mark.parametrize(
    ("build", "method"),
    [
        ("2.2", "signal"),
        ("3.0", "signal"),
        ("3.0", "cli"),
        ("2.2", "soft-finish"),
    ],
)
def test_however_it_is_asked_for_the_reload_fails_and_no_address_answers_meanwhile(
    cells: dict[str, Any], build: str, method: str
) -> None:
    measured = cell(cells, build, method=method)
    assert reported(measured) == ["success", "failure"]
    assert (measured["verdict"], measured["silent"]) == ("outage", False)
    bad = measured["reloads"][1]
    for label in PRESENT:
        address = bad["addresses"][label]
        assert address["verdict"] == "outage"
        assert set(address["answers"]) == {"without"}
        # 200 retries, 10 ms apart (MAX_START_RETRIES in src/haproxy.c), each with its own work.
        most = 2.1 if measured["clock"] == "virtual" else 10
        assert 1.98 < address["outage_seconds"] < most
    assert "could not bind 192.168.42.43:80" in measured["explanation"]
    assert bad["exit_code"] == {"soft-finish": 1}.get(method)
    assert (bad["answer"] or "").startswith("Success=0" if method == "cli" else "")
    assert ("#<PID>" in (bad["processes"] or "")) is (method == "cli")


def test_2_2_accepts_nothing_and_resets_and_3_0_has_nobody_listen(cells: dict[str, Any]) -> None:
    old, new = (cell(cells, build)["reloads"][1] for build in ("2.2", "3.0"))
    for label in PRESENT:
        assert old["addresses"][label]["failures"]["reset"] > 10
        assert new["addresses"][label]["failures"]["refused"] > 10
        assert any(each["owner"] == "master" and each["queue"] > 10 for each in old["listeners"])
        assert any(each["owner"] is None for each in new["listeners"] if each["address"] == label)


def test_an_address_that_returns_is_served_or_its_loss_is_reported(cells: dict[str, Any]) -> None:
    measured = cell(cells, "3.0", scenario="address-returns")
    # Either bind succeeded within the retries, and what was inherited is dead (haproxy 2.6 to
    # 3.4), or it came too late for them: never is it all well.
    assert measured["verdict"] in ("down", "outage")
    assert measured["silent"] is (measured["verdict"] == "down")
    assert measured["silent"] is (reported(measured)[1] == "success")
    # HAProxy suspends what it has passed on, and so takes it out of LISTEN.
    [cause, *_] = [each for each in measured["causes"] if each["what"] == "listener"]
    assert (cause["owners"], bool(cause["dormant"])) == ([], True)


def test_an_old_worker_ends_and_what_it_used_is_known(cells: dict[str, Any]) -> None:
    good, failed = cell(cells, "3.0")["reloads"]
    [worker] = good["old_workers"]
    assert worker["ended_at"] is not None
    assert 1e6 < worker["use"]["memory"] < 1e9
    assert worker["use"]["files"] > len(PRESENT)
    assert good["master"]["files"] > 0
    # It goes on serving.
    assert [each["ended_at"] for each in failed["old_workers"]] == [None]
    assert not any(each.get("left") for each in failed["old_workers"])


def test_the_check_of_the_packaged_unit_finds_a_lost_file_but_no_lost_address(
    cells: dict[str, Any],
) -> None:
    measured = cell(cells, "3.0", scenario="lost-file-and-address", method="systemd")
    file, mended, address = measured["reloads"]
    assert (file["reported"], file["exit_code"]) == ("failure", 1)
    assert file["verdict"] in ("ok", "lossy")
    assert (mended["reported"], mended["exit_code"]) == ("success", 0)
    # It ends before HAProxy has reported its reload.
    assert (address["reported"], address["exit_code"]) == ("failure", 0)
    assert address["verdict"] == "outage"
    assert "#<PID>" in address["processes"]


def test_what_was_seen_is_kept_and_judged_alike_by_a_later_report(
    checkout: Path, cells: dict[str, Any]
) -> None:
    before = (checkout / "results/latest/run.json").read_text()
    done = invoke("report", "latest", "--recompute", folder=checkout)
    assert "judged 9 cells again: 0 have other results now" in done.stderr
    assert (checkout / "results/latest/run.json").read_text() == before
    for measured in cells.values():
        if measured["verdict"] != "error":
            evidence = timeline(checkout, measured)
            assert evidence["sampling"]["samples"] > 50
            assert len(evidence["probes"]) == measured["quality"]["probes"]
            folder = checkout / "results/latest/cells" / measured["id"]
            assert (folder / "haproxy.log").exists()


@pytest.mark.parametrize("build", ["2.2", "3.0"])
def test_with_the_workaround_haproxy_binds_and_says_so(
    checkout: Path, cells: dict[str, Any], build: str
) -> None:
    measured = cell(cells, build, "nonlocal-bind")
    assert comes_through(measured)
    assert reported(measured) == ["success", "success"]
    for setting, fails in (("plain", True), ("nonlocal-bind", False)):
        folder = checkout / "results/latest/cells" / cell(cells, build, setting)["id"]
        log = (folder / "haproxy.log").read_text()
        assert (MISSING in log and "ALERT" in log) is fails, log


def test_the_same_seed_gives_the_same_result_also_on_a_busy_host(checkout: Path) -> None:
    words = ["--kernel", "6.1", "--haproxy", "3.0", "--setting", "plain", "--clock", "virtual"]
    words += ["--scenario", "lost-address", "--seed", "3"]

    def measure() -> dict[str, Any]:
        done = invoke("matrix", *words, folder=checkout, seconds=600)
        assert done.returncode == 0, done.stdout + done.stderr
        [each] = newest(checkout)["cells"]
        assert (each["seed"], each["clock"]) == (3, "virtual")
        assert each["quality"]["verdict"] == "good"
        return dict(each)

    alone = measure()
    with busy_host():
        beside = measure()
    assert (beside["verdict"], reported(beside)) == (alone["verdict"], reported(alone))
    for before, after in zip(alone["reloads"], beside["reloads"], strict=True):
        # An event within a millisecond of a probe may be seen by that or by the next.
        assert abs(after["reported_at"] - before["reported_at"]) < 0.01
        for label, address in before["addresses"].items():
            again = after["addresses"][label]
            assert abs(again["outage_seconds"] - address["outage_seconds"]) < 0.025
            if address["expected"]:
                lost = [sum(each["failures"].values()) for each in (address, again)]
                assert abs(lost[0] - lost[1]) <= 1


@contextlib.contextmanager
def busy_host() -> Iterator[None]:
    """Three processes that want all of the processor that they can get, while it is open."""
    with contextlib.ExitStack() as undo:
        for _ in range(3):
            busy = subprocess.Popen(["timeout", "600", sys.executable, "-c", "while True: pass"])
            undo.callback(busy.wait)
            undo.callback(busy.terminate)
        yield


def test_each_seed_has_its_own_gap_between_reloads_that_race(checkout: Path) -> None:
    words = ["--kernel", "6.1", "--haproxy", "3.0", "--setting", "plain"]
    words += ["--scenario", "reload-storm", "--repeat", "2"]
    done = invoke("matrix", *words, folder=checkout, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
    gaps = []
    for each in newest(checkout)["cells"]:
        racing = [reload["gap"] for reload in each["reloads"] if reload["gap"] is not None]
        assert len(racing) == 9
        assert f"(seed {each['seed']})" in each["explanation"]
        gaps.append(min(racing))
    assert abs(gaps[0] - gaps[1]) > 0.005


def test_the_newest_haproxy_runs_on_the_oldest_kernel_and_two_runs_at_once_do_no_harm(
    tmp_path: Path,
) -> None:
    def measure(pair: str) -> None:
        checkout = copy_project(tmp_path / pair.replace("/", "-"))
        words = ["--jobs", "1", "--only", f"{pair}/nonlocal-bind/lost-address/signal"]
        done = invoke("matrix", *words, folder=checkout, seconds=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        [each] = newest(checkout)["cells"]
        assert reported(each) == ["success", "success"]
        assert comes_through(each)
        assert not machines_of(checkout)

    with ThreadPoolExecutor() as pool:
        list(pool.map(measure, ["5.10/3.4", "7.3/2.2"]))


def test_two_guests_of_a_kernel_share_its_cells_and_can_be_kept_and_entered(
    checkout: Path,
) -> None:
    words = ["--kernel", "6.1", "--haproxy", "2.2", "--scenario", "syntax-error"]
    words += ["--jobs", "2", "--repeat", "2", "--setting", "plain"]
    done = invoke("matrix", *words, "--keep", "always", folder=checkout, seconds=600)
    ends = [line for line in done.stdout.splitlines() if line.startswith("end with: ")]
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        cells = newest(checkout)["cells"]
        assert [cell["repetition"] for cell in cells] == [1, 2]
        assert all(comes_through(cell) for cell in cells)
        entries = [line for line in done.stdout.splitlines() if line.startswith("kept: ")]
        assert [line.split()[-1] for line in entries] == ["6.1", "6.1-2"]
        for start in (line for line in done.stdout.splitlines() if "stand still until: " in line):
            in_shell(start.partition("until: ")[2], checkout)
        for entry in entries:
            entered = in_shell(f"{entry.removeprefix('kept: ')} -c 'uname -r'", checkout)
            assert entered.startswith("6.1.")
    finally:
        for end in ends:
            in_shell(end.removeprefix("end with: "), checkout)
    assert not machines_of(checkout)


def in_shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        command, shell=True, check=True, capture_output=True, text=True, cwd=folder, timeout=120
    )
    return done.stdout
