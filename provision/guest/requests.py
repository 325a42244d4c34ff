"""What an address is asked with."""

from __future__ import annotations

import functools
import ssl

from provision.guest.answers import PROXY, PROXY_TLS, TLS

HOST = "hatester"
"""The name of the site that is asked for, where no other is known."""
_PROXY = b"PROXY UNKNOWN\r\n"
"""A header that says nothing of the client (HAProxy's doc/proxy-protocol.txt, section 2.1)."""


@functools.cache
def request(answer: str, host: str = HOST) -> bytes:
    """Return what is sent to an address that answers in a way of `answers.ANSWERS`."""
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
