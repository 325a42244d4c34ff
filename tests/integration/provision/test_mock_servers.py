"""The servers that a configuration talks to, played in a process and a network of their own."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision.guest.errors import GuestError
from provision.guest.mock_servers import MockServers
from provision.guest.plan import ServerAnswers
from tests.factories.servers import closed_port

NOTHING = ServerAnswers({}, {}, [], {}, "")
GET = b"GET / HTTP/1.1\r\n\r\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks")


@contextmanager
def played(
    root: Path, *servers: str, own: tuple[str, ...] = (), stopped: tuple[str, ...] = ()
) -> Iterator[MockServers]:
    playing = MockServers(servers, own, NOTHING, stopped)
    try:
        playing.start(root)
        yield playing
    finally:
        playing.end()


def ask(place: tuple[str, int] | str) -> bytes:
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    if family == socket.AF_INET and ":" in place[0]:
        family = socket.AF_INET6
    received = b""
    with socket.socket(family) as connection:
        connection.settimeout(10)
        connection.connect(place)
        connection.sendall(GET)
        while chunk := connection.recv(4096):
            received += chunk
    return received


def interfaces() -> str:
    return subprocess.run(["ip", "-br", "link"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("address", ["10.77.0.5", "2001:db8:77::5"])
def test_port_where_no_server_listens_is_refused(tmp_path: Path, address: str) -> None:
    with played(tmp_path, f"{address}:8080"), pytest.raises(ConnectionRefusedError):
        ask((address, 8081))


@pytest.mark.parametrize("place", [("10.77.0.5", 8080), ("2001:db8:77::5", 8443)])
def test_server_has_its_own_network(tmp_path: Path, place: tuple[str, int]) -> None:
    with played(tmp_path, f"{place[0]}:{place[1]}", "*:9000"):
        assert ask(place).startswith(b"HTTP/1.1 200 OK")
        assert ask((place[0], 9000)).startswith(b"HTTP/1.1 200 OK")
    assert "servers0" not in interfaces()


def test_only_servers_are_reachable(tmp_path: Path) -> None:
    with played(tmp_path, "10.77.0.5:80"):
        routes = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout
    ours = [line.split()[0] for line in routes.splitlines() if "servers0" in line]
    assert sorted(ours) == ["10.77.0.5", "198.18.0.0/15", "198.19.254.0/30"]


def test_slow_client_delays_no_other(
    tmp_path: Path,
) -> None:
    port = closed_port()
    with (
        played(tmp_path, f"127.0.0.1:{port}"),
        socket.create_connection(("127.0.0.1", port), timeout=10),
        ThreadPoolExecutor() as pool,
    ):
        answers = list(pool.map(ask, [("127.0.0.1", port)] * 50))
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", port))


def test_server_stops_and_starts_alone(tmp_path: Path) -> None:
    near = f"127.0.0.1:{closed_port()}"
    places = ["10.77.0.5:8080", "10.77.0.6:8080", near]
    with played(tmp_path, *places, stopped=(places[0], near)) as playing:
        for place in (places[0], near):
            host, _, port = place.rpartition(":")
            kept = socket.create_connection((host, int(port)), timeout=10)
            playing.command("stop", place)
            with pytest.raises(ConnectionRefusedError):
                ask((host, int(port)))
            assert kept.recv(1) == b""
            assert ask(("10.77.0.6", 8080)).startswith(b"HTTP/1.1 200 OK")
            playing.command("start", place)
            assert ask((host, int(port))).startswith(b"HTTP/1.1 200 OK")


def test_unix_socket_is_in_the_root(tmp_path: Path) -> None:
    with played(tmp_path, "/run/app.sock"):
        assert ask(str(tmp_path / "run/app.sock")).startswith(b"HTTP/1.1 200 OK")


def test_missing_own_address_is_served(tmp_path: Path) -> None:
    with played(tmp_path, "192.0.2.77:8081", own=("192.0.2.77/32",)):
        lines = subprocess.run(["ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
    assert "192.0.2.77:8081" in lines


def test_taken_place_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(GuestError, match=f"{place} cannot be served"),
            played(tmp_path, place),
        ):
            pass


def test_no_servers_no_process(tmp_path: Path) -> None:
    with played(tmp_path):
        assert "servers0" not in interfaces()
