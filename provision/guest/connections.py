"""One connection to an address, and how it ended."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from typing import Any, NamedTuple

from provision.guest.answers import BY_BYTES, CONNECT, NAMED, judge
from provision.guest.requests import request

OUTCOMES = ("ok", "refused", "reset", "timeout", "unreachable", "empty", "wrong")
REQUEST = request(NAMED)

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",  # IPv6: no address of ours reaches it
    errno.ENODEV: "unreachable",  # the interface to come through is not there
    errno.ENOENT: "refused",  # a UNIX socket that is not there
    errno.EAGAIN: "timeout",  # a UNIX socket with a full queue does not let wait
}


class Target(NamedTuple):
    """Where to connect to, and how it is asked (one of `answers.ANSWERS`).

    `address` is an IP address, or a UNIX socket: its path, or its name in the abstract namespace
    (unix(7)). `interface` names the one to come through, where that matters.
    """

    label: str
    address: str
    port: int
    interface: str | None
    answer: str = NAMED
    request: bytes = REQUEST

    @property
    def place(self) -> tuple[str, int] | str:
        """Return what connect(2) takes."""
        return (self.address, self.port) if self.port else self.address

    def open(self) -> socket.SocketType:
        """A socket to be connected, which does not block; the plain one, which is made faster.

        Raises OSError when the interface is not there.
        """
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        if not self.port:
            family = socket.AF_UNIX
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
    """Ask a target over a fresh connection that may take `seconds` in all.

    Returns `outcome` (one of OUTCOMES), `answer` (the configuration that answered, or None),
    `errno` (its name, or None), `started` on the monotonic clock and `seconds`. Raises OSError
    for what says nothing about the address, such as a lack of file descriptors.
    """
    started = time.monotonic()
    answer = error_name = None
    try:
        received = exchange(target, started + seconds)
    except socket.timeout:
        outcome = "timeout"
    except OSError as error:
        outcome, error_name = failure(error, target.answer)
    else:
        outcome, answer = judge(target.answer, received)
    return {
        "outcome": outcome,
        "answer": answer,
        "errno": error_name,
        "started": started,
        "seconds": time.monotonic() - started,
    }


def exchange(target: Target, deadline: float) -> bytes:
    """All that is answered, or as much as matters. Raises socket.timeout at the deadline, OSError
    otherwise."""
    with contextlib.closing(target.open()) as connection:

        def bound() -> None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout
            connection.settimeout(left)

        bound()
        connection.connect(target.place)
        received = b""
        if target.answer == CONNECT:
            return received
        bound()
        connection.sendall(target.request)
        while True:
            bound()
            chunk = connection.recv(65536)
            received += chunk
            if not chunk or target.answer in BY_BYTES:
                return received


def failure(error: OSError, answer: str = NAMED) -> tuple[str, str]:
    """The outcome that an error of a socket is where `answer` is expected, and the error's name.

    Raises the error itself when it says nothing about the address.
    """
    if error.errno not in _BY_ERRNO:
        raise error
    outcome = _BY_ERRNO[error.errno]
    # A connection that is reset was made.
    is_made = outcome == "reset" and answer == CONNECT
    return "ok" if is_made else outcome, errno.errorcode[error.errno]
