"""A connection's outcome, against servers that do each of them for real."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.guest.connections import CONNECT, Target, connect, failure, find_answering
from tests.factories.servers import BEHAVIOURS, closed_port, server


def target(port: int, interface: str | None = None) -> Target:
    return Target(f"127.0.0.1:{port}", "127.0.0.1", port, interface)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "answer"),
    [
        ("answers", "ok", "with"),
        ("answers late", "ok", "late"),
        ("resets", "reset", None),
        ("closes", "empty", None),
        ("answers 503", "wrong", None),
        ("answers another", "wrong", None),
        ("speaks no HTTP", "wrong", None),
        ("is silent", "timeout", None),
    ],
)
def test_outcomes(behaviour: str, outcome: str, answer: str | None) -> None:
    with server(BEHAVIOURS[behaviour]) as port:
        found = connect(target(port), seconds=0.3 if outcome == "timeout" else 10)
    assert (found["outcome"], found["answer"]) == (outcome, answer)
    assert (found["errno"] == "ECONNRESET") is (outcome == "reset")


def test_closed_port_refuses() -> None:
    found = connect(target(closed_port()), seconds=10)
    assert (found["outcome"], found["errno"]) == ("refused", "ECONNREFUSED")


def test_full_queue_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert connect(target(port), seconds=0.3)["outcome"] == "timeout"


def test_missing_interface_is_unreachable() -> None:
    found = connect(target(closed_port(), "nosuch0"), seconds=10)
    assert (found["outcome"], found["errno"]) == ("unreachable", "ENODEV")


@given(st.integers(100, 599), st.from_regex(r"[A-Za-z0-9.+_-]{1,20}", fullmatch=True))
def test_only_200_names_the_configuration(status: int, name: str) -> None:
    assert find_answering(status, f"<p>OK - {name}</p>") == (name if status == 200 else None)


def test_reset_connection_was_made() -> None:
    reset = ConnectionResetError(errno.ECONNRESET, "reset")
    assert failure(reset) == ("reset", "ECONNRESET")
    assert failure(reset, CONNECT) == ("ok", "ECONNRESET")
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert failure(refused, CONNECT) == ("refused", "ECONNREFUSED")
