"""HTTP answers on connections that go on after them."""

from __future__ import annotations

import http.client
import io
import socket
from typing import NamedTuple, cast


class HttpAnswer(NamedTuple):
    """An answer; `is_last` if it announces the end of the connection."""

    status: int
    body: bytes
    is_last: bool


class _Received:
    """Received bytes in the place of a socket, from which http.client reads."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def read_answer(received: bytes, is_over: bool) -> HttpAnswer | None:
    """Return the answer to a request with GET, or None while it is not complete.

    `is_over` says that nothing follows. An answer without a length lasts until then. Raises
    http.client.HTTPException for anything that is not HTTP.
    """
    if b"\r\n\r\n" not in received and not is_over:
        return None
    answer = http.client.HTTPResponse(cast(socket.socket, _Received(received)))
    try:
        answer.begin()
        if answer.length is None and not answer.chunked and not is_over:
            return None
        return HttpAnswer(answer.status, answer.read(), answer.will_close)
    except http.client.IncompleteRead:
        if is_over:
            raise
        return None
