"""The clients beside the prober, against servers that keep, close and renew what these hold."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hatester.util.pem import LookAlikes
from provision.guest.client_records import ClientRecords
from provision.guest.clients import WEBSOCKET, Clients
from provision.guest.connections import ANY, CONNECT, NAMED, Target
from provision.guest.mock_replies import Talk
from provision.guest.mock_servers import tls_context
from provision.guest.plan import Destination, PlannedClients, ServerAnswers
from tests.factories.servers import BEHAVIOURS, accepting, closed_port, reset_at_end, server

INTERVAL = 0.02
LIFE = 0.3
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nOK - with\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nOK - with\n\r\n0\r\n\r\n"
LAST = PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


class Heard:
    """The number of messages that a server has heard; `enough` is set after so many."""

    def __init__(self, wanted: int) -> None:
        self.enough = threading.Event()
        self._left = wanted

    def count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.enough.set()


def watch(
    group: Callable[[Destination], PlannedClients], port: int, is_enough: Callable[[], object],
    answer: str = NAMED,
) -> ClientRecords:  # fmt: skip
    """Return the records of clients that ask a port until enough was seen."""
    destination = Destination("here", "127.0.0.1", port, None, answer)

    def find(each: Destination) -> Target:
        return Target(each.label, each.address, each.port, None, each.answer)

    clients = Clients([group(destination)], find, "hatester", LIFE, 0.0)
    context = multiprocessing.get_context("fork")
    received = {}
    for name, (run, _) in clients.programs().items():
        ours, theirs = context.Pipe()
        process = context.Process(target=run, args=(theirs,), daemon=True)
        process.start()
        is_enough()
        ours.send("stop")
        assert ours.poll(30)
        received[name] = ours.recv()
        process.join(30)
    return clients.records(received)


def keep_alive(latency: float = 0.0) -> Callable[[Destination], PlannedClients]:
    return lambda to: PlannedClients("keep-alive", [to], INTERVAL, latency=latency)


def keeping(heard: Heard, *answers: bytes, reset: bool = False) -> Callable[[socket.socket], None]:
    """Answer the requests of a connection with these, and then close it."""

    def behave(connection: socket.socket) -> None:
        for number, answer in enumerate(answers):
            if number and not connection.recv(65536):
                return
            heard.count()
            connection.sendall(answer)
        if reset:
            connection.recv(65536)
            reset_at_end(connection)

    return behave


@pytest.mark.parametrize("answer", [PAGE, CHUNKS])
def test_a_connection_is_kept_for_all_requests(answer: bytes) -> None:
    heard = Heard(20)
    with server(keeping(heard, *[answer] * 1000)) as port:
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(30))
    assert {(each.outcome, each.configuration) for each in seen.requests} == {("ok", "with")}
    assert [each.is_first for each in seen.requests].count(True) == 1
    assert not seen.idle_ends


def test_an_answer_may_announce_the_end() -> None:
    heard = Heard(9)
    with server(keeping(heard, PAGE, PAGE, LAST)) as port:
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(30))
    assert {each.outcome for each in seen.requests} == {"ok"}
    assert [(each.is_first, each.is_last) for each in seen.requests][:6] == [
        (True, False), (False, False), (False, True),
    ] * 2  # fmt: skip
    assert not seen.idle_ends


def test_the_end_of_an_idle_connection_costs_nothing() -> None:
    heard = Heard(9)
    with server(keeping(heard, PAGE)) as port:
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(30))
    assert {(each.outcome, each.is_first) for each in seen.requests} == {("ok", True)}
    assert len(seen.idle_ends) >= 8
    assert {each.errno for each in seen.idle_ends} == {None}


def test_a_request_that_meets_an_end_is_lost() -> None:
    heard = Heard(9)
    with server(keeping(heard, PAGE)) as port:
        seen = watch(keep_alive(latency=1.0), port, lambda: heard.enough.wait(30))
    met = [each for each in seen.requests if not each.is_first]
    assert met
    assert {each.outcome for each in met} <= {"empty", "reset"}


def test_a_request_may_be_reset_or_never_answered() -> None:
    heard = Heard(6)
    with server(keeping(heard, PAGE, reset=True)) as port:
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(30))
    assert Counter(each.outcome for each in seen.requests if not each.is_first).keys() == {"reset"}
    with server(BEHAVIOURS["is silent"]) as port:
        seen = watch(keep_alive(), port, lambda: threading.Event().wait(3 * LIFE))
    assert {each.outcome for each in seen.requests} == {"timeout"}


@pytest.mark.parametrize(
    "page", [PAGE.replace(b"200 OK", b"404 No"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
)
def test_an_answer_has_to_name_itself(page: bytes) -> None:
    heard = Heard(3)
    with server(keeping(heard, *[page] * 1000)) as port:
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(30))
        assert {each.outcome for each in seen.requests} == {"wrong"}
        heard = Heard(3)
        seen = watch(keep_alive(), port, lambda: heard.enough.wait(3 * LIFE), ANY)
    assert {each.outcome for each in seen.requests} == {"ok"}


def sessions(every: float | None = None) -> Callable[[Destination], PlannedClients]:
    return lambda to: PlannedClients("sessions", [to], INTERVAL, 2, every)


def echo(
    heard: Heard, times: int = 1000, end: Callable[[socket.socket], None] = lambda _: None
) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        for _ in range(times):
            connection.sendall(b".")
            heard.count()
            if not connection.recv(1):
                return
        end(connection)

    return behave


def test_sessions_live_as_long_as_they_are_answered() -> None:
    heard = Heard(20)
    with server(echo(heard)) as port:
        seen = watch(sessions(every=0.1), port, lambda: heard.enough.wait(30), CONNECT)
    assert {each.end for each in seen.sessions} == {"alive"}
    assert len(seen.sessions) >= 2
    assert sum(each.answers for each in seen.sessions) >= 15


@pytest.mark.parametrize(
    ("end", "times", "ends"),
    [
        (lambda _: None, 3, {"closed"}),
        (reset_at_end, 3, {"reset"}),
        (lambda _: threading.Event().wait(3 * LIFE), 3, {"silent"}),
        (lambda _: None, 0, {"unopened"}),
    ],
    ids=["closed", "reset", "silent", "unopened"],
)
def test_how_sessions_end(end: Callable[[Any], None], times: int, ends: set[str]) -> None:
    heard = Heard(2 * times)
    with server(echo(heard, times, end)) as port:
        seen = watch(sessions(), port, lambda: threading.Event().wait(4 * LIFE), CONNECT)
    assert {each.end for each in seen.sessions} == ends
    assert {each.answers for each in seen.sessions} == {times}


def test_sessions_may_be_websockets() -> None:
    heard = Heard(20)

    def talk(connection: socket.socket) -> None:
        # The first message was read by the server.
        replies = Talk(ServerAnswers({}, {}, [], {}, ""), 0, None)
        replies.hear(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: aGF0\r\n\r\n")
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while data := connection.recv(65536):
            connection.sendall(replies.hear(data))
            heard.count()

    with server(talk) as port:
        seen = watch(sessions(), port, lambda: heard.enough.wait(30), WEBSOCKET)
    assert {each.end for each in seen.sessions} == {"alive"}
    with server(keeping(heard, PAGE)) as port:
        seen = watch(sessions(), port, lambda: threading.Event().wait(LIFE), WEBSOCKET)
    assert {each.end for each in seen.sessions} == {"unopened"}


@contextlib.contextmanager
def tls_server(pem: str, port: int, wanted: int) -> Iterator[Heard]:
    heard, context = Heard(wanted), tls_context(pem)

    def treat(connection: socket.socket) -> None:
        heard.count()
        connection.settimeout(5)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(LAST)
            secured.unwrap()

    with accepting(treat, port):
        yield heard


def test_which_certificate_is_shown_and_whether_sessions_are_resumed() -> None:
    pems = [each.certificate(["hatester.example"]) + each.private_key() for each in _two()]
    marks = [hashlib.sha256(ssl.PEM_cert_to_DER_cert(_certificate(p))).hexdigest() for p in pems]
    port = closed_port()

    def renew() -> None:
        for pem in pems:
            with tls_server(pem, port, wanted=9) as heard:
                assert heard.enough.wait(30)

    seen = watch(lambda to: PlannedClients("tls", [to], INTERVAL), port, renew, ANY).handshakes
    good = [each for each in seen if each.outcome == "ok"]
    assert {each.configuration for each in good} == {"with"}
    shown = [each.certificate for each in good if each.certificate]
    assert shown == sorted(shown, key=marks.index)
    assert {*shown} == {*marks}
    # The new server has new keys for tickets.
    offers = [each.is_resumed for each in good if each.is_resumed is not None]
    assert (offers[0], offers[-1]) == (True, True)
    assert False in offers
    assert all((each.certificate is None) is bool(each.is_resumed) for each in good)


def _two() -> list[LookAlikes]:
    return [LookAlikes(), LookAlikes()]


def _certificate(pem: str) -> str:
    return pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"


def test_handshakes_fail_where_nobody_speaks_tls() -> None:
    heard = Heard(3)
    with server(keeping(heard, PAGE)) as port:
        seen = watch(
            lambda to: PlannedClients("tls", [to], INTERVAL), port, lambda: heard.enough.wait(30)
        )
    assert {(each.outcome, each.secured) for each in seen.handshakes} == {("wrong", None)}
    seen = watch(
        lambda to: PlannedClients("tls", [to], INTERVAL),
        closed_port(),
        lambda: threading.Event().wait(LIFE),
    )
    assert {(each.outcome, each.errno) for each in seen.handshakes} == {("refused", "ECONNREFUSED")}


@pytest.mark.parametrize("kind", ["load", "sparse"])
def test_fresh_connections_are_as_many_as_asked_for(kind: str) -> None:
    heard = Heard(10)
    with server(keeping(heard, LAST)) as port:
        seen = watch(
            lambda to: PlannedClients(kind, [to], INTERVAL), port, lambda: heard.enough.wait(30)
        )
    records = seen.load or seen.sparse
    assert {each.outcome for each in records} == {"ok"}
    dues = [each.due for each in records]
    gaps = [later - earlier for earlier, later in itertools.pairwise(dues)]
    assert gaps == pytest.approx([INTERVAL] * len(gaps), abs=1e-4)
