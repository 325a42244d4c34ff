"""The guest's view of its listening sockets."""

from __future__ import annotations

import socket

from provision.guest.network import listeners


def test_a_listening_socket_is_found_by_its_address_and_port() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
    ):
        address = first.getsockname()
        assert address in listeners()
        assert ("::1", second.getsockname()[1]) in listeners()
    assert address not in listeners()
