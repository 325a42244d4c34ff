"""One connection to an address, and how it ended."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from typing import Any, NamedTuple

from provision.guest.answers import ANY, NAMED, judge

OUTCOMES = ("ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong")
REQUEST = b"GET / HTTP/1.1\r\nHost: hatester\r\nConnection: close\r\n\r\n"

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",  # IPv6: no address of ours reaches it
    errno.ENODEV: "unreachable",  # the interface to come through is not there
}


class Target(NamedTuple):
    """Where to connect to, by what it is known to answer (`answers.py`); `interface` names the one
    to come through, where that matters."""

    label: str
    address: str
    port: int
    interface: str | None
    answer: str = NAMED

    def open(self) -> socket.SocketType:
        """A socket to be connected, which does not block; the plain one, which is made faster.

        Raises OSError when the interface is not there.
        """
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        opened = socket.SocketType(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if self.interface:
            try:
                name = self.interface.encode()
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            except OSError:
                opened.close()
                raise
        return opened


def connect(target: Target, seconds: float) -> dict[str, Any]:
    """Ask a target for `/` over a fresh connection that may take `seconds` in all.

    Returns `outcome` (one of OUTCOMES), `answer` (the configuration that answered, or None),
    `errno` (its name, or None), `started` on the monotonic clock and `seconds`. Raises OSError
    for what says nothing about the address, such as a lack of file descriptors.
    """
    started = time.monotonic()
    answer = error_name = None
    try:
        received = _exchange(target, started + seconds)
    except socket.timeout:
        outcome = "timeout"
    except OSError as error:
        outcome, error_name = failure(error)
    else:
        outcome, answer = judge(target.answer, received)
    return {
        "outcome": outcome,
        "answer": answer,
        "errno": error_name,
        "started": started,
        "seconds": time.monotonic() - started,
    }


def _exchange(target: Target, deadline: float) -> bytes:
    """All that is answered, or as much as matters. Raises socket.timeout at the deadline, OSError
    otherwise."""
    with contextlib.closing(target.open()) as connection:

        def bound() -> None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout
            connection.settimeout(left)

        bound()
        connection.connect((target.address, target.port))
        bound()
        connection.sendall(REQUEST)
        received = b""
        while True:
            bound()
            chunk = connection.recv(65536)
            received += chunk
            if not chunk or target.answer == ANY:
                return received


def failure(error: OSError) -> tuple[str, str]:
    """The outcome that an error of a socket is, and the error's name.

    Raises the error itself when it says nothing about the address.
    """
    if error.errno not in _BY_ERRNO:
        raise error
    return _BY_ERRNO[error.errno], errno.errorcode[error.errno]
