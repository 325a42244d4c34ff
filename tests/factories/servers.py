"""Small servers on 127.0.0.1 that answer well, wrongly, late or not at all."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket], None]

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def reset_at_end(connection: socket.socket) -> None:
    """Have the end of a connection be a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _late(connection: socket.socket) -> None:
    time.sleep(0.2)
    connection.sendall(HEAD + b"OK - late\n")


def _in_parts(connection: socket.socket) -> None:
    for part in (HEAD[:20], HEAD[20:], b"OK - parts\n"):
        connection.sendall(part)
        time.sleep(0.02)


def _and_stays(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"OK - with\n")
    time.sleep(1)


BEHAVIOURS: dict[str, Behaviour] = {
    "answers": lambda connection: connection.sendall(HEAD + b"OK - with\n"),
    "answers late": _late,
    "answers in parts": _in_parts,
    "answers and stays": _and_stays,
    "resets": reset_at_end,
    "closes": lambda _connection: None,
    "answers 503": lambda c: c.sendall(b"HTTP/1.0 503 No\r\n\r\nOK - with\n"),
    "answers another": lambda c: c.sendall(HEAD + b"It works!"),
    "speaks no HTTP": lambda c: c.sendall(b"SSH-2.0-OpenSSH\r\n\r\nOK - with"),
    "is silent": lambda connection: time.sleep(1),
}


@contextlib.contextmanager
def server(behaviour: Behaviour, port: int = 0) -> Iterator[int]:
    """Serve at a port of 127.0.0.1: each connection is read once and then treated so."""

    def treat(connection: socket.socket) -> None:
        connection.recv(65536)
        behaviour(connection)

    with accepting(treat, port) as own:
        yield own


@contextlib.contextmanager
def accepting(treat: Behaviour, port: int = 0) -> Iterator[int]:
    """Accept at a port of 127.0.0.1; each connection is treated in a thread, and closed."""

    def finish(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            treat(connection)

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=finish, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)


def closed_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
