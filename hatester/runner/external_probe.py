"""The view from outside the guest: one HTTP request to each address, by QEMU's forwarding.

QEMU's user network takes a connection before the guest does and drops it when the guest does not:
what the guest refused or reset looks reset, empty or refused from here. Inside and outside agree
on whether an address answers; the inside tells how it did not.
"""

from __future__ import annotations

import http.client
import ssl
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor

import requests
import urllib3.exceptions

from hatester.matrix.binds import Bind
from provision.guest.connections import CLOSE, NAMED, TLS, answered_by

SECONDS = 5.0
"""Of one request: as long as a connection of a check inside the guest may take."""

# The first that fits: RemoteDisconnected, which means that not a byte came, is a BadStatusLine and
# a ConnectionResetError as well.
_OUTCOMES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), "empty"),
    # Whatever it is, it is the server's.
    ((ssl.SSLError,), "wrong"),
    ((http.client.RemoteDisconnected,), "empty"),
    ((ConnectionRefusedError,), "refused"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "timeout"),
    ((http.client.HTTPException, urllib3.exceptions.ProtocolError), "wrong"),
)


def look(pool: Executor, ports: Mapping[Bind, int]) -> dict[str, str]:
    """Ask all addresses at once, by their ports on the host; returns an outcome as in the guest's
    checks for each, by its label."""
    requested = {bind: pool.submit(request, port, bind.answer) for bind, port in ports.items()}
    return {bind.label: each.result() for bind, each in requested.items()}


def request(port: int, answer: str = NAMED) -> str:
    """Ask for `/` at a port of 127.0.0.1, by HTTPS where `answer` is that of TLS; returns the
    outcome.

    Raises requests.RequestException for what says nothing about the address.
    """
    outcome = _request(f"{'https' if answer == TLS else 'http'}://127.0.0.1:{port}/")
    # What is no HTTP, or another answer, is an answer all the same.
    is_well = outcome == "wrong" or (outcome == "empty" and answer == CLOSE)
    return "ok" if is_well and answer != NAMED else outcome


def _request(url: str) -> str:
    with requests.Session() as session, warnings.catch_warnings():
        # Certificates are made up, and prove nothing.
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        session.verify = False
        # A proxy that the environment names must not stand between.
        session.trust_env = False
        try:
            response = session.get(
                url,
                timeout=SECONDS,
                headers={"Connection": "close"},
                allow_redirects=False,
            )
        except requests.Timeout:
            return "timeout"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            return _outcome(error)
    return "ok" if answered_by(response.status_code, response.text) else "wrong"


def _outcome(error: requests.RequestException) -> str:
    """What lies under the layers of requests and urllib3."""
    causes: list[object] = [error]
    for cause in causes:
        if isinstance(cause, BaseException):
            causes += [*cause.args, getattr(cause, "reason", None), cause.__context__]
    for kinds, outcome in _OUTCOMES:
        if any(isinstance(cause, kinds) for cause in causes):
            return outcome
    raise error
