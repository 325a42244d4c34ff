"""Placeholders of files that a HAProxy configuration names: HAProxy accepts them as they are."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from hatester.util.pem import LookAlikes

NOBODY = "hatester.invalid"
"""The name in certificates for which no other is known."""
_MOST_NAMES = 100
"""Of a certificate, as it is sent with every handshake."""
_TICKET_BYTES = 48
_DH = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""ffdhe2048 (RFC 7919, appendix A.1)."""

# What a file is called, and the parts that its keyword makes HAProxy look for. The first keyword of
# a file that stands here names it.
_PEM: dict[str, tuple[str, frozenset[str]]] = {
    "crt": ("certificate", frozenset(("key", "certificate"))),
    "ca-sign-file": ("CA certificate with its key", frozenset(("key", "certificate"))),
    "key": ("private key", frozenset(("key",))),
    "ca-file": ("CA certificate", frozenset(("certificate",))),
    "ca-verify-file": ("CA certificate", frozenset(("certificate",))),
    "httpclient.ssl.ca-file": ("CA certificate", frozenset(("certificate",))),
    "issuer": ("CA certificate", frozenset(("certificate",))),
    "crl-file": ("empty list of revoked certificates", frozenset(("revocations",))),
    "ssl-dh-param-file": ("set of DH parameters", frozenset(("dh",))),
    "jwt_verify": ("public key", frozenset(("public key",))),
}


@dataclass
class Wanted:
    """What is known of a file that is missing."""

    keywords: set[str] = field(default_factory=set)
    """The words that name it, such as `crt`."""
    names: list[str] = field(default_factory=list)
    """Host names that a certificate has to have."""
    status: int = HTTPStatus.SERVICE_UNAVAILABLE
    """Of a page: the status of the response."""
    text: str = ""
    """Of a list: its content."""


def noun_of(wanted: Wanted) -> str:
    """Return what a file is called in a sentence."""
    for keyword, (noun, _) in _PEM.items():
        if keyword in wanted.keywords:
            return noun
    if "tls-ticket-keys" in wanted.keywords:
        return "set of ticket keys"
    if "crt-list" in wanted.keywords:
        return "list of one certificate"
    if "errorfile" in wanted.keywords:
        return "error page"
    if wanted.keywords & {"file", "lf-file"}:
        return "page"
    return "list of nameservers" if "parse-resolv-conf" in wanted.keywords else "empty list"


def content_of(wanted: Wanted, look_alikes: LookAlikes) -> str:
    """Return the content of a placeholder."""
    parts = {part for each in wanted.keywords & _PEM.keys() for part in _PEM[each][1]}
    if parts:
        return _pem(parts, wanted.names[:_MOST_NAMES] or [NOBODY], look_alikes)
    if "tls-ticket-keys" in wanted.keywords:
        keys = (base64.b64encode(secrets.token_bytes(_TICKET_BYTES)).decode() for _ in range(3))
        return "".join(f"{key}\n" for key in keys)
    if "errorfile" in wanted.keywords:
        return _response(wanted.status)
    if wanted.keywords & {"file", "lf-file"}:
        return "a placeholder of hatester\n"
    return wanted.text


def _pem(parts: set[str], names: Sequence[str], look_alikes: LookAlikes) -> str:
    blocks: dict[str, Callable[[], str]] = {
        "key": look_alikes.private_key,
        "public key": look_alikes.public_key,
        "certificate": lambda: look_alikes.certificate(names),
        "revocations": lambda: look_alikes.revocations(names[0]),
        "dh": lambda: _DH,
    }
    return "".join(block() for part, block in blocks.items() if part in parts)


def _response(status: int) -> str:
    """Return a whole HTTP response, as `errorfile` has it."""
    phrase = HTTPStatus(status).phrase if status in {*HTTPStatus} else "Error"
    lines = (
        f"HTTP/1.0 {status} {phrase}", "Cache-Control: no-cache", "Connection: close",
        "Content-Type: text/html", "",
        f"<html><body><h1>{status} {phrase}</h1>A placeholder of hatester.</body></html>", "",
    )  # fmt: skip
    return "\r\n".join(lines)
