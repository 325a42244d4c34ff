"""The guest's view of its listening sockets."""

from __future__ import annotations

import os
import socket

from provision.guest.kernel import LISTENERS, listening, listening_places


def test_listening_sockets_are_found() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
    ):
        address = first.getsockname()
        assert address in listening_places()
        assert ("::1", second.getsockname()[1]) in listening_places()
    assert address not in listening_places()


def test_only_listening_sockets_are_read() -> None:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(40)]
    clients = [socket.create_connection(each.getsockname()) for each in servers]
    table = os.open(next(iter(LISTENERS)), os.O_RDONLY)
    heading, *lines = listening(table).decode().splitlines()
    assert "local_address" in heading
    assert {line.split()[3] for line in lines} == {"0A"}
    assert {each.getsockname() for each in servers} <= listening_places()
    os.close(table)
    for each in (*servers, *clients):
        each.close()
