"""Ends that a reload can have beside a lost address, and steps that change more than an address.

The tests assert what is certain. Up to 3.0, a worker that cannot enter its `chroot` takes the
master along, after HAProxy has logged success. A master whose socket is gone cannot be asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.factories.live_run import newest
from tests.factories.project import invoke

PATTERNS = [
    "6.1/2.2/plain/chroot-missing-then-reload/signal",
    "6.1/2.2/plain/start-on-the-backup-node/signal",
    "6.1/3.0/plain/cli-gone/cli",
    "6.1/3.0/plain/restart/systemd",
    "6.1/3.0/plain/server-unreachable/signal",
    "6.1/2.2-to-3.0/plain/upgrade/systemd",
]


@pytest.fixture(scope="module")
def cells(checkout: Path) -> dict[str, dict[str, Any]]:
    words = ["--kernel", "6.1", "--setting", "plain"]
    for build in ("2.2", "3.0", "2.2-to-3.0"):
        words += ["--haproxy", build]
    for pattern in PATTERNS:
        _, _, _, scenario, method = pattern.split("/")
        words += ["--scenario", scenario, "--method", method, "--only", pattern]
    done = invoke("matrix", *words, folder=checkout, seconds=1200)
    assert done.returncode == 0, done.stderr
    return {cell["scenario"]: cell for cell in newest(checkout)["cells"]}


def test_a_reload_that_kills_haproxy_is_its_result(cells: dict[str, Any]) -> None:
    measured = cells["chroot-missing-then-reload"]
    assert (measured["verdict"], measured["silent"]) == ("down", True)
    assert measured["ended"] == "later"
    assert [reload["step"] for reload in measured["reloads"]] == [3]


def test_a_start_that_fails_is_a_result(cells: dict[str, Any]) -> None:
    measured = cells["start-on-the-backup-node"]
    assert (measured["verdict"], measured["ended"]) == ("down", "start")
    assert "could not bind 192.168.42.43:80" in measured["explanation"]


def test_a_request_that_nobody_takes_is_a_result(cells: dict[str, Any]) -> None:
    measured = cells["cli-gone"]
    [reload] = measured["reloads"]
    assert measured["verdict"] == "ok"
    assert "No such file or directory" in reload["refusal"]
    assert reload["reported"] is None
    asked, _ = measured["replies"]
    assert "worker" in asked["text"]


def test_a_restart_refuses_connections(cells: dict[str, Any]) -> None:
    measured = cells["restart"]
    [restart] = measured["reloads"]
    assert (restart["verb"], restart["reported"], measured["verdict"]) == (
        "restart", "success", "outage",
    )  # fmt: skip


def test_packets_to_a_server_vanish(checkout: Path, cells: dict[str, Any]) -> None:
    measured = cells["server-unreachable"]
    file = checkout / "results/latest/cells" / measured["id"] / "timeline.json"
    log = [text for _, text in json.loads(file.read_text())["log"]]
    # Its checks time out, and HAProxy says so.
    assert any("Server app/other is DOWN" in line for line in log)
    assert any("Server app/other is UP" in line for line in log)


def test_the_old_master_executes_the_new_binary(cells: dict[str, Any]) -> None:
    measured = cells["upgrade"]
    assert measured["haproxy"]["version"].startswith("2.2.")
    assert [reload["reported"] for reload in measured["reloads"]] == ["success", "success"]
    assert "3.0" in measured["reloads"][-1]["processes"]
