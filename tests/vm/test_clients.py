"""What clients lose that hold something, on real guests: what HAProxy's source makes certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories.live_run import newest
from tests.factories.project import invoke

SELECTED = (
    "6.1/*/plain/idle-keepalive-closed/signal",
    "6.1/3.2/plain/sessions-cut/signal",
    "6.1/3.2/plain/certificate-renewed/signal",
)


@pytest.fixture(scope="module")
def cells(checkout: Path) -> dict[str, dict[str, Any]]:
    words = ["--kernel", "6.1", "--haproxy", "2.2", "--haproxy", "3.2", "--setting", "plain"]
    for scenario in ("idle-keepalive-closed", "sessions-cut", "certificate-renewed"):
        words += ["--scenario", scenario]
    for pattern in SELECTED:
        words += ["--only", pattern]
    done = invoke("matrix", *words, folder=checkout, seconds=1500)
    assert done.returncode == 0, done.stderr
    return {cell["id"]: cell for cell in newest(checkout)["cells"]}


def effects(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what all reloads of a cell did to clients."""
    return [effect for reload in cell["reloads"] for effect in reload["clients"]]


def test_kept_connections_get_one_more_answer_up_to_2_3(cells: dict[str, Any]) -> None:
    # Fresh connections may be lost: each process has sockets of its own.
    cell = cells["6.1/2.2/plain/idle-keepalive-closed/signal"]
    assert all(each["closing"] and not each.get("failures") for each in effects(cell))


def test_idle_connections_are_closed_since_2_4(cells: dict[str, Any]) -> None:
    cell = cells["6.1/3.2/plain/idle-keepalive-closed/signal"]
    assert cell["verdict"] == "lossy"
    for each in effects(cell):
        lost = sum(each.get("failures", {}).values())
        # Both connections of an address are idle at a reload, or meet their end.
        assert lost + each["idle_ends"] + each["closing"] >= 2
    addresses = [each for reload in cell["reloads"] for each in reload["addresses"].values()]
    assert not any(each["failures"] for each in addresses)


def test_sessions_are_cut_after_hard_stop_after(cells: dict[str, Any]) -> None:
    cell = cells["6.1/3.2/plain/sessions-cut/signal"]
    assert cell["verdict"] == "ok"
    for each in effects(cell):
        assert each["older"] == each["closed"] + each["reset"] > 0
        assert 2.0 <= each["first"] <= each["last"] < 2.5


def test_a_renewed_certificate_is_shown_and_no_handshake_lost(cells: dict[str, Any]) -> None:
    cell = cells["6.1/3.2/plain/certificate-renewed/signal"]
    assert cell["verdict"] == "ok"
    first = effects(cell)[:2]
    assert {each["before"] for each in first} == {"site-2026.pem"}
    assert {each["certificates"][-1]["name"] for each in first} == {"site-2027.pem"}
