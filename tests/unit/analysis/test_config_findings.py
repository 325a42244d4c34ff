"""The answer about a configuration of the user's own, in words."""

from __future__ import annotations

import json
from typing import Any

from hatester.analysis.config_findings import find_costs
from hatester.analysis.findings import text
from hatester.analysis.model import CellResult, UserConfiguration
from hatester.analysis.reload_model import OldWorker
from tests.factories.cells import run_of, shown, unmeasured_cell

CONFIGURATION = {
    "names": ["haproxy.cfg"],
    "build": "2.2",
    "binds": {
        "192.0.2.10:80": "any", "192.0.2.11:443": "tls", "192.0.2.12:80": "connect", "*:8404": None
    },
    "unwatched": {"*:8404": "it takes no connection", "quic4@:443": "it is bound by UDP"},
    "groups": {
        "192.0.2.10": ["192.0.2.10"], "192.0.2.11": ["192.0.2.11"],
        "all": ["192.0.2.10", "192.0.2.11"],
    },
    "failing": ["app/a1"],
    "said": ["made a certificate for /etc/ssl/site.pem"],
    "env": {},
}  # fmt: skip


def cell(verdict: str, id_: str, **changes: Any) -> CellResult:
    found = shown(verdict, id_=f"6.1/{id_}/signal", seconds=2.04, lost=100)
    return found.model_copy(update=changes)


def sections(*cells: CellResult, **changes: Any) -> dict[str, tuple[str, ...]]:
    """Return the sentences about each thing."""
    content = json.dumps({**CONFIGURATION, **changes})
    configuration = UserConfiguration.model_validate_json(content)
    run = run_of(*cells).model_copy(update={"configuration": configuration})
    return {each.about: each.sentences for each in find_costs(run)}


def test_what_was_watched_and_what_can_be_lost_comes_first() -> None:
    assert sections()["haproxy.cfg"] == (
        "watched 3 of 5 binds (not watched: *:8404, since it takes no connection; quic4@:443, "
        "since it is bound by UDP)",
        "192.0.2.12:80 was asked for no more than a connection, since no answer can be "
        "distinguished from a failure there",
        "can be lost: 192.0.2.10 and 192.0.2.11",
        "checks fail of app/a1",
        "made a certificate for /etc/ssl/site.pem",
    )


def test_without_an_address_that_can_be_missing_it_is_said_what_was_measured() -> None:
    found = sections(cell("ok", "2.2/plain/reload"), groups={})
    assert "no address can be missing" in found["haproxy.cfg"][2]
    assert found["a reload with nothing missing"] == ("costs nothing (HAProxy 2.2)",)


def test_addresses_of_which_it_costs_the_same_are_named_together() -> None:
    found = sections(
        *(
            cell(verdict, f"{build}/plain/lost-{address}")
            for address in ("192.0.2.10", "192.0.2.11")
            for build, verdict in (("2.2", "outage"), ("2.6", "ok"), ("3.2", "ok"))
        )
    )
    assert found["192.0.2.10 or 192.0.2.11 missing at a reload"] == (
        "costs every address 2.0 s (HAProxy 2.2)", "costs nothing (HAProxy 2.6 and later)"
    )  # fmt: skip


def test_what_settings_make_of_it_is_said() -> None:
    found = sections(
        cell("outage", "2.2/plain/lost-all"),
        cell("ok", "2.2/nonlocal-bind/lost-all"),
        cell("ok", "2.2/transparent/lost-all"),
        cell("outage", "2.2/expose-fd/lost-all"),
        cell("down", "2.2/noreuseport/lost-all", silent=True),
    )
    assert found["all of 192.0.2.10 and 192.0.2.11 missing at a reload"] == (
        "costs every address 2.0 s (HAProxy 2.2)",
        "noreuseport: leaves every address dead, though HAProxy reports success (HAProxy 2.2)",
        "nonlocal-bind and transparent remove it",
        "expose-fd changes nothing",
    )


def test_every_end_has_its_words() -> None:
    found = sections(
        cell("down", "2.2/plain/absent-all", ended="start", reloads=[]),
        cell("down", "2.6/plain/absent-all", ended="later"),
        cell("unasked", "3.0/plain/absent-all"),
        unmeasured_cell(id_="6.1/3.2/plain/absent-all/signal"),
    )
    assert found["all of 192.0.2.10 and 192.0.2.11 missing when HAProxy starts"] == (
        "HAProxy does not start (HAProxy 2.2)",
        "HAProxy ends (HAProxy 2.6)",
        "nothing is left to ask, and the reload failed (HAProxy 3.0)",
        "could not be measured (HAProxy 3.2)",
    )


def test_of_several_measurements_the_gravest_counts() -> None:
    found = sections(cell("ok", "2.2/plain/back-all"), cell("outage", "2.2/plain/back-all"))
    [sentence] = found["all of 192.0.2.10 and 192.0.2.11 back while HAProxy reloads"]
    assert sentence == "costs every address 2.0 s, in 1 of 2 measurements (HAProxy 2.2)"


def test_a_run_without_a_configuration_has_no_answer() -> None:
    assert find_costs(run_of()) == []
    assert text(find_costs(run_of())) == ""


def test_old_workers_that_are_left_are_a_cost() -> None:
    found = cell("ok", "2.2/plain/reload")
    worker = OldWorker(pid=7, age=9.0, ended_at=None, is_left=True, use=None)
    reload = found.reloads[0].model_copy(update={"old_workers": (worker, worker)})
    assert sections(found.model_copy(update={"reloads": (reload,)}))[
        "a reload with nothing missing"
    ] == ("costs nothing, and leaves 2 old workers (HAProxy 2.2)",)
