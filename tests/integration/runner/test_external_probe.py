"""The view from outside, against servers that do each of the outcomes for real."""

from __future__ import annotations

import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hatester.matrix.binds import Bind
from hatester.runner import external_probe
from tests.factories.servers import BEHAVIOURS, HEAD, Behaviour, closed_port, server


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
def test_each_way_to_answer_is_reported_apart(
    behaviour: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_probe, "SECONDS", 0.3 if outcome == "timeout" else 10)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    with server(BEHAVIOURS[behaviour]) as port:
        assert external_probe.request(port) == outcome


def test_all_addresses_are_looked_at_and_distinguished() -> None:
    good, bad = Bind("192.168.42.44", 80), Bind("192.168.42.45", 80)
    with server(BEHAVIOURS["answers"]) as port, ThreadPoolExecutor() as pool:
        found = external_probe.look(pool, {good: port, bad: closed_port()})
        assert found == {good.label: "ok", bad.label: "refused"}


def test_an_address_that_is_silent_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_probe, "SECONDS", 0.3)
    binds = [Bind(f"192.168.42.{number}", 80) for number in range(44, 48)]
    with (
        ThreadPoolExecutor(len(binds)) as pool,
        server(BEHAVIOURS["is silent"]) as silent,
        server(BEHAVIOURS["answers"]) as good,
    ):
        found = external_probe.look(
            pool, dict(zip(binds, [silent, good, silent, good], strict=True))
        )
    assert list(found.values()) == ["timeout", "ok", "timeout", "ok"]
    assert list(found) == [bind.label for bind in binds]


def drip_head(connection: socket.socket) -> None:
    """Send a header that never ends."""
    connection.sendall(b"HTTP/1.0 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def drip_body(connection: socket.socket) -> None:
    """Send a body that never ends."""
    connection.sendall(HEAD)
    drip_head(connection)


def flood(connection: socket.socket) -> None:
    """Send an answer, and much more than anybody reads."""
    connection.sendall(HEAD + b"OK - with\n")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("behaviour", "outcome"), [(drip_head, "timeout"), (drip_body, "timeout"), (flood, "ok")]
)
def test_time_and_bytes_are_bounded(
    behaviour: Behaviour, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_probe, "SECONDS", 10 if outcome == "ok" else 0.5)
    with server(behaviour) as port:
        assert external_probe.request(port) == outcome


def test_nothing_is_unpacked() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    packed = gzip.compress(b"OK - with\n" * 1000)
    with server(lambda connection: connection.sendall(head + packed)) as port:
        assert external_probe.request(port) == "wrong"
