"""The view from outside the guest: an HTTP request to each address, by QEMU's forwarding.

QEMU's user network accepts a connection before the guest does, and drops it when the guest does
not. So a connection that the guest refused or reset looks reset, empty or refused from here. Inside
and outside agree on whether an address answers; only the inside shows how it failed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

import requests
import urllib3
import urllib3.exceptions

from hatester.matrix.binds import Bind
from hatester.util.errors import MeasurementError
from provision.guest.connections import CLOSE, NAMED, TLS, find_answering
from provision.guest.message_bounds import Outcome

SECONDS = 5.0
"""Of one request in all: as long as a connection of a check inside the guest may take."""
BODY_BYTES = 65536
"""Of an answer, at most: the beginning says whose it is."""

# The first that fits: RemoteDisconnected, which means that not a byte came, is a BadStatusLine and
# a ConnectionResetError as well.
_OUTCOMES: tuple[tuple[tuple[type[Exception], ...], Outcome], ...] = (
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), "empty"),
    # Any other error of TLS is the server's.
    ((ssl.SSLError,), "wrong"),
    ((http.client.RemoteDisconnected,), "empty"),
    ((ConnectionRefusedError,), "refused"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "timeout"),
    ((http.client.HTTPException, urllib3.exceptions.ProtocolError), "wrong"),
)
_BELOW = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


def look(pool: Executor, ports: Mapping[Bind, int]) -> dict[str, Outcome]:
    """Ask all addresses at once, by their ports on the host.

    Returns by the label of each an outcome as in the guest's checks.
    """
    requested = {bind: pool.submit(request, port, bind.answer) for bind, port in ports.items()}
    return {bind.label: each.result() for bind, each in requested.items()}


def request(port: int, answer: str = NAMED) -> Outcome:
    """Ask for `/` at a port of 127.0.0.1, by HTTPS where `answer` is that of TLS.

    Returns the outcome. Raises MeasurementError for an error that is the host's own.
    """
    outcome = _request(f"{'https' if answer == TLS else 'http'}://127.0.0.1:{port}/")
    # Anything that is not HTTP, or another answer, is an answer all the same.
    is_well = outcome == "wrong" or (outcome == "empty" and answer == CLOSE)
    return "ok" if is_well and answer != NAMED else outcome


def _request(url: str) -> Outcome:
    started = time.monotonic()
    with (
        contextlib.ExitStack() as undo,
        requests.Session() as session,
        warnings.catch_warnings(),
    ):
        # Certificates are made up, and prove nothing.
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        session.verify = False
        # A proxy that the environment names must not stand between.
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(undo))
        try:
            response = session.get(
                url,
                timeout=SECONDS,
                headers={"Connection": "close", "Accept-Encoding": "identity"},
                allow_redirects=False,
                stream=True,
            )
            body = response.raw.read(BODY_BYTES, decode_content=False)
        except requests.Timeout:
            return "timeout"
        except (requests.RequestException, *_BELOW) as error:
            return "timeout" if time.monotonic() - started >= SECONDS else _outcome(error)
    if time.monotonic() - started >= SECONDS:
        return "timeout"
    return "ok" if find_answering(response.status_code, body.decode(errors="replace")) else "wrong"


class _Adapter(requests.adapters.HTTPAdapter):
    """The way to an address, over connections that are cut after so long, whatever still comes."""

    def __init__(self, undo: contextlib.ExitStack) -> None:
        self._undo = undo
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pools = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = {
            scheme: _bounded(pool, self._undo) for scheme, pool in pools.items()
        }


def _bounded(pool: Any, undo: contextlib.ExitStack) -> Any:
    """Return a kind of pool whose connections are cut, until `undo` is closed."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            # TLS takes the socket over; the copy is the same connection.
            timer = threading.Timer(SECONDS, _cut, [undo.enter_context(made.dup())])
            timer.daemon = True
            timer.start()
            undo.callback(timer.cancel)
            return made

    return type("Bounded", (pool,), {"ConnectionCls": Connection})


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _outcome(error: Exception) -> Outcome:
    """Return the outcome that lies under the layers of requests and urllib3."""
    causes: list[object] = [error]
    for cause in causes:
        if isinstance(cause, BaseException):
            causes += [*cause.args, getattr(cause, "reason", None), cause.__context__]
    for kinds, outcome in _OUTCOMES:
        if any(isinstance(cause, kinds) for cause in causes):
            return outcome
    raise MeasurementError(f"the view from outside failed: {error}") from error
