"""The servers that a configuration talks to, played in a process of their own."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from provision.guest.backends import Backends
from provision.guest.errors import GuestError
from tests.unit.servers import closed_port


def ask(port: int, question: bytes = b"GET / HTTP/1.1\r\n\r\n") -> bytes:
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(question)
        while chunk := connection.recv(4096):
            received += chunk
    return received


def test_whoever_asks_is_answered_and_nobody_keeps_the_others_waiting() -> None:
    port = closed_port()
    backends = Backends([f"127.0.0.1:{port}"])
    backends.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10),
            ThreadPoolExecutor() as pool,
        ):
            answers = list(pool.map(ask, [port] * 50))
    finally:
        backends.end()
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def test_a_server_whose_place_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        backends = Backends([place])
        with pytest.raises(GuestError, match=f"nobody can answer at {place}"):
            backends.start()
        backends.end()


def test_without_servers_nothing_is_started() -> None:
    backends = Backends([])
    backends.start()
    backends.end()
