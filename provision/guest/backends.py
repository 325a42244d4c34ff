"""What a configuration has behind it, played by a small server: it answers whatever is asked."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import signal
import socket

from provision.guest import libc
from provision.guest.errors import GuestError
from provision.guest.network import ip
from provision.guest.processes import pids

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_BACKLOG = 1024
_BYTES = 65536


class Backends:
    """Servers at addresses such as 10.0.0.5:8080, in one process; their addresses are on `lo`."""

    def __init__(self, servers: list[str]) -> None:
        self.servers = servers
        self._pid: int | None = None
        self._added: list[str] = []

    def start(self) -> None:
        """Serve. Raises GuestError when an address cannot be had."""
        listeners = [self._listen(server) for server in self.servers]
        if not listeners:
            return
        self._pid = os.fork()
        if self._pid == 0:
            try:
                libc.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
                _serve(listeners)
            finally:
                os._exit(0)
        for listener in listeners:
            listener.close()

    def _listen(self, server: str) -> socket.socket:
        host, _, port = server.rpartition(":")
        address = ipaddress.ip_address(host)
        if not address.is_loopback:
            whole = f"{address}/{address.max_prefixlen}"
            if whole not in self._added:
                ip("address", "add", whole, "dev", "lo")
                self._added.append(whole)
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        try:
            return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise GuestError(f"nobody can answer at {server}: {error.strerror}") from error

    def end(self) -> None:
        if self._pid is not None and self._pid in pids():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        for whole in self._added:
            with contextlib.suppress(GuestError):
                ip("address", "delete", whole, "dev", "lo")


def _serve(listeners: list[socket.socket]) -> None:
    """Answer whoever has sent something, and close."""
    epoll = select.epoll()
    sockets = {listener.fileno(): listener for listener in listeners}
    servers = frozenset(sockets)
    for file in servers:
        epoll.register(file, select.EPOLLIN)
    while True:
        for file, _ in epoll.poll():
            if file in servers:
                connection, _ = sockets[file].accept()
                sockets[connection.fileno()] = connection
                epoll.register(connection.fileno(), select.EPOLLIN)
                continue
            with contextlib.suppress(OSError), sockets.pop(file) as connection:
                if connection.recv(_BYTES):
                    connection.sendall(_ANSWER)
