"""The binds, servers and answers that a survey finds."""

from __future__ import annotations

from collections import Counter

import pytest

from provision.guest.connections import ANY, CLOSE, CONNECT, PROXY, PROXY_TLS, TLS
from provision.guest.survey import kind_of_answer, others, without_inner


@pytest.mark.parametrize(
    ("is_tls", "given", "kind"),
    [
        (False, {ANY, CLOSE, CONNECT}, ANY),
        (False, {TLS, CLOSE, CONNECT}, TLS),
        (False, {PROXY, CONNECT}, PROXY),
        (False, {PROXY_TLS, CONNECT}, PROXY_TLS),
        (False, {CLOSE, CONNECT}, CLOSE),
        (False, {CONNECT}, CONNECT),
        (False, set(), None),
        # An alert is an answer to anything.
        (True, {ANY, TLS, CONNECT}, TLS),
        (True, {ANY, PROXY_TLS, PROXY, CONNECT}, PROXY_TLS),
    ],
)
def test_kind_of_answer(is_tls: bool, given: set[str], kind: str | None) -> None:
    assert kind_of_answer(is_tls, given.__contains__) == kind


def test_answer_has_to_be_given_each_time() -> None:
    asked: Counter[str] = Counter()

    def is_ok(kind: str) -> bool:
        asked[kind] += 1
        return kind == CLOSE or (kind == ANY and asked[kind] < 3)

    assert kind_of_answer(False, is_ok) == CLOSE
    assert asked[CLOSE] == 3


def test_ranges_of_ports_have_their_ends() -> None:
    places = [("10.0.0.1", port) for port in range(80, 90)] + [("10.0.0.2", 85), ("/run/x", 0)]
    assert without_inner(places, [("10.0.0.1", 81, 88)]) == [
        ("/run/x", 0), ("10.0.0.1", 80), ("10.0.0.1", 81), ("10.0.0.1", 88), ("10.0.0.1", 89),
        ("10.0.0.2", 85),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("server", "is_other"),
    [
        ("10.0.0.5:80", True), ("127.0.0.1:80", False), ("127.0.0.1:81", True), ("::1:80", False),
        ("*:80", True), ("/run/app.sock", True),
    ],
)  # fmt: skip
def test_haproxy_is_not_a_server(server: str, is_other: bool) -> None:
    assert others([server], [("10.0.0.1", 80), ("/run/x", 0)], []) == [server] * is_other


def test_shifted_servers_follow_the_ports_of_binds() -> None:
    places = [("10.0.0.1", 80), ("10.0.0.1", 60000), ("/run/x", 0)]
    assert others([], places, [("10.0.0.9", 8000), ("10.0.0.8", -80)]) == [
        "10.0.0.9:8080", "10.0.0.8:59920",
    ]  # fmt: skip
