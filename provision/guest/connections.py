"""One connection to an address: what it asks, how it ends, and whether that is an answer."""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import socket
import ssl
import time
from typing import Any, NamedTuple

NAMED, ANY, CLOSE, CONNECT = "named", "any", "close", "connect"
TLS, PROXY, PROXY_TLS = "tls", "proxy", "proxy-tls"
ANSWERS = (NAMED, ANY, TLS, PROXY, PROXY_TLS, CLOSE, CONNECT)
"""Kinds of answers. After an HTTP request: 200 with `OK - NAME` in the body, as our scenarios have
it (`named`), any byte (`any`), or an orderly end of the connection (`close`). After a TLS hello
(`tls`), an HTTP request with a PROXY header before it (`proxy`), or both (`proxy-tls`): any byte.
`connect` needs only that a connection is established."""
BY_BYTES = (ANY, TLS, PROXY, PROXY_TLS)

ABSTRACT = "abns@"
"""The prefix of a UNIX socket's name in the abstract namespace, as HAProxy writes it."""
UNPADDED = "abnsz@"
"""The same of a name that ends where its text does."""
_MARK = re.compile(r"OK - ([A-Za-z0-9.+_-]+)")


class Judged(NamedTuple):
    outcome: str
    """ok, empty or wrong."""
    configuration: str | None
    """The one that answered, where it said so."""


def find_answering(status: int, body: str) -> str | None:
    """Return the name of the configuration that answered; None for a wrong answer."""
    found = _MARK.search(body) if status == 200 else None
    return found[1] if found else None


def judge(answer: str, received: bytes) -> Judged:
    """Judge all bytes up to an orderly end of a connection, where `answer` is expected."""
    if answer in (CLOSE, CONNECT) or (answer in BY_BYTES and received):
        return Judged("ok", None)
    if not received:
        return Judged("empty", None)
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    is_http = words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()
    name = find_answering(int(words[1]) if is_http else 0, body.decode("utf-8", "replace"))
    return Judged("ok" if name else "wrong", name)


HOST = "hatester"
"""The name of the site that is asked for, unless another is known."""
_PROXY = b"PROXY UNKNOWN\r\n"
"""A header that says nothing of the client (HAProxy's doc/proxy-protocol.txt, section 2.1)."""


@functools.cache
def request(answer: str, host: str = HOST) -> bytes:
    """Return the bytes that are sent to an address that answers in a way of `ANSWERS`."""
    header = _PROXY if answer in (PROXY, PROXY_TLS) else b""
    if answer in (TLS, PROXY_TLS):
        return header + _client_hello(host)
    return header + f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def _client_hello(host: str) -> bytes:
    """Return the first message of a TLS handshake (RFC 8446, section 4.1.2).

    Its answer takes all that a handshake takes of the server, and nothing of the client.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(received, sent, server_hostname=host).do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake cannot end without an answer")


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


def kernel_name(address: str) -> str:
    """Return the name by which the kernel lists a UNIX socket of HAProxy (`kernel.unix_sockets`).

    Names in the abstract namespace are listed alike, padded (`abns@`) or not (`abnsz@`).
    """
    return ABSTRACT + address[len(UNPADDED) :] if address.startswith(UNPADDED) else address


class Target(NamedTuple):
    """A place to connect to, and how it is asked (one of `ANSWERS`).

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
        """Return the argument of connect(2)."""
        return (self.address, self.port) if self.port else self.address

    def open(self) -> socket.SocketType:
        """Return a socket that does not block; the plain type, which is created faster.

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
    """Return the answer, or as much of it as matters.

    Raises socket.timeout at the deadline, and OSError when the connection fails.
    """
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
    """Return the outcome for an error of a socket, where `answer` is expected, and its name.

    Raises the error itself when it says nothing about the address.
    """
    if error.errno not in _BY_ERRNO:
        raise error
    outcome = _BY_ERRNO[error.errno]
    # A connection that is reset was made.
    is_made = outcome == "reset" and answer == CONNECT
    return "ok" if is_made else outcome, errno.errorcode[error.errno]
