"""One connection to an address, and how it ended."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from provision.guest.answers import answered_by

OUTCOMES = ("ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong")

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}


def connect(address: str, port: int, seconds: float) -> dict[str, Any]:
    """Ask `address` for `/` over a fresh connection that may take `seconds` in all.

    Returns `outcome` (one of OUTCOMES), `answer` (the configuration that answered, or None),
    `errno` (its name, or None), `started` on the monotonic clock and `seconds`. Raises OSError
    for what says nothing about the address, such as a lack of file descriptors.
    """
    started = time.monotonic()
    answer = error_name = None
    try:
        received = _exchange(address, port, started + seconds)
    except socket.timeout:
        outcome = "timeout"
    except OSError as error:
        if error.errno not in _BY_ERRNO:
            raise
        outcome = _BY_ERRNO[error.errno]
        error_name = errno.errorcode[error.errno]
    else:
        outcome, answer = _judge(received)
    return {
        "outcome": outcome,
        "answer": answer,
        "errno": error_name,
        "started": started,
        "seconds": time.monotonic() - started,
    }


def _exchange(address: str, port: int, deadline: float) -> bytes:
    """All that is answered. Raises socket.timeout at the deadline, OSError otherwise."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:

        def bound() -> None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout
            connection.settimeout(left)

        bound()
        connection.connect((address, port))
        bound()
        connection.sendall(b"GET / HTTP/1.1\r\nHost: hatester\r\nConnection: close\r\n\r\n")
        received = b""
        while True:
            bound()
            chunk = connection.recv(65536)
            if not chunk:
                return received
            received += chunk


def _judge(received: bytes) -> tuple[str, str | None]:
    if not received:
        return "empty", None
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    is_http = words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()
    status = int(words[1]) if is_http else 0
    answer = answered_by(status, body.decode("utf-8", "replace"))
    return ("ok" if answer else "wrong"), answer
