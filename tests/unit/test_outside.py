"""The view from outside, against servers that do each of the outcomes for real."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hatester import outside
from hatester.configurations import Bind
from tests.unit.servers import BEHAVIOURS, closed_port, server


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("answers", "ok"),
        ("resets", "reset"),
        ("closes", "empty"),
        ("answers 503", "wrong"),
        ("answers another", "wrong"),
        ("speaks no HTTP", "wrong"),
        ("is silent", "timeout"),
    ],
)
def test_each_way_to_answer_is_told_apart(
    behaviour: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "SECONDS", 0.3 if outcome == "timeout" else 10)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    with server(BEHAVIOURS[behaviour]) as port:
        assert outside.request(port) == outcome


def test_all_addresses_are_looked_at_and_told_apart() -> None:
    good, bad = Bind("192.168.42.44", 80), Bind("192.168.42.45", 80)
    with server(BEHAVIOURS["answers"]) as port, ThreadPoolExecutor() as pool:
        look = outside.Look(pool, {good: port, bad: closed_port()})
        assert look.outcomes() == {good.label: "ok", bad.label: "refused"}


def test_an_address_that_is_silent_for_long_enough_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside, "SECONDS", 2.0)
    monkeypatch.setattr(outside, "PATIENCE_SECONDS", 0.2)
    good, silent = Bind("192.168.42.44", 80), Bind("192.168.42.45", 80)
    with (
        server(BEHAVIOURS["answers"]) as port,
        server(BEHAVIOURS["is silent"]) as other,
        ThreadPoolExecutor() as pool,
    ):
        look = outside.Look(pool, {good: port, silent: other})
        look.wait({good.label})
        begin = time.monotonic()
        assert look.outcomes() == {good.label: "ok", silent.label: "timeout"}
        # The request itself goes on for two.
        assert time.monotonic() - begin < 1.5
