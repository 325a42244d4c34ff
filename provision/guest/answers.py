"""How an address is asked, and what its answer says of the configuration that gave it."""

from __future__ import annotations

import re
from typing import NamedTuple

NAMED, ANY, CLOSE, CONNECT = "named", "any", "close", "connect"
TLS, PROXY, PROXY_TLS = "tls", "proxy", "proxy-tls"
ANSWERS = (NAMED, ANY, TLS, PROXY, PROXY_TLS, CLOSE, CONNECT)
"""How it is known that an address answers. Asked by HTTP: by 200 with `OK - NAME` in the body, as
our scenarios have it (`named`), by any byte (`any`), or by no more than an orderly end of the
connection (`close`). By any byte after a TLS hello (`tls`), an HTTP request behind a PROXY header
(`proxy`), or both (`proxy-tls`). By no more than that a connection is made (`connect`)."""
BY_BYTES = (ANY, TLS, PROXY, PROXY_TLS)

_MARK = re.compile(r"OK - ([A-Za-z0-9.+_-]+)")


class Judged(NamedTuple):
    outcome: str
    """ok, empty or wrong."""
    configuration: str | None
    """The one that answered, where it said so."""


def answered_by(status: int, body: str) -> str | None:
    """The name of the configuration that answered; None for a wrong answer."""
    found = _MARK.search(body) if status == 200 else None
    return found[1] if found else None


def judge(answer: str, received: bytes) -> Judged:
    """What all that was received, up to an orderly end, is where `answer` is expected."""
    if answer in (CLOSE, CONNECT) or (answer in BY_BYTES and received):
        return Judged("ok", None)
    if not received:
        return Judged("empty", None)
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    is_http = words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()
    name = answered_by(int(words[1]) if is_http else 0, body.decode("utf-8", "replace"))
    return Judged("ok" if name else "wrong", name)
