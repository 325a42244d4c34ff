"""The replies of mock servers: every check of HAProxy's is answered."""

from __future__ import annotations

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.util.pem import LookAlikes
from provision.guest.mock_replies import Talk, address_of, resolve
from provision.guest.mock_servers import tls_context
from provision.guest.plan import ServerAnswers

ANSWERS = ServerAnswers(
    {"25": "smtp", "3306": "mysql", "5432": "pgsql", "389": "ldap", "6379": "redis", "99": "agent"},
    {"143": ["* OK\r\n"], "26379": ["", "+OK\r\n", "role:master\r\n"]},
    ["synced"], {"/health": 429}, "",
)  # fmt: skip
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def talk(port: int = 80) -> Talk:
    return Talk(ANSWERS, port, None)


def test_http_check_gets_status_and_text() -> None:
    server = talk()
    assert server.begin() == b""
    assert not server.is_over
    answer = server.hear(GET)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"synced" in answer
    assert server.is_over
    assert talk().hear(GET.replace(b"/ ", b"/health ")).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_proxy_header_is_skipped(header: bytes, size: int) -> None:
    server, text = talk(), header + GET
    answers = [server.hear(text[i : i + size]) for i in range(0, len(text), size)]
    assert b"".join(answers).startswith(b"HTTP/1.1 200 ")
    assert not any(answers[:-1])


@pytest.mark.parametrize(
    ("port", "first"),
    [(25, b"220 "), (3306, b"\x49\0\0\0\x0a"), (99, b"up"), (143, b"* OK"), (80, b"")],
)
def test_servers_that_speak_first(port: int, first: bytes) -> None:
    server = talk(port)
    assert server.begin().startswith(first)
    assert server.is_over == (port == 99)


@pytest.mark.parametrize(
    ("port", "question", "answer"),
    [
        (25, b"EHLO x\r\n", b"250 "),
        (6379, b"PING\r\n", b"+PONG"),
        (26379, b"*1\r\n$4\r\nPING\r\n", b"+PONG"),
        (5432, b"\0\0\0\x1b\0\x03\0\0user\0x\0\0", b"R\0\0\0\x08\0\0\0\0"),
        (389, b"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\0\x80\0", b"0\x0c\x02\x01\x01a"),
        (26379, b"AUTH x\r\n", b"+OK\r\n"),
        (9000, b"PING\r\n", b"OK\r\n"),
    ],
)
def test_other_protocols_are_answered(port: int, question: bytes, answer: bytes) -> None:
    server = talk(port)
    assert server.hear(question).startswith(answer)
    assert not server.is_over


def test_each_message_has_its_answer() -> None:
    server = talk(26379)
    assert server.begin() == b""
    assert [server.hear(each) for each in (b"AUTH x\r\n", b"info\r\n", b"QUIT\r\n")] == [
        b"+OK\r\n", b"role:master\r\n", b"OK\r\n",
    ]  # fmt: skip


def test_http_2_streams_are_answered() -> None:
    server = talk()
    settings, headers = b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x01\x01\x05\0\0\0\x03\x82"
    answer = server.hear(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    assert answer == settings + b"\0\0\0\x04\x01\0\0\0\0"
    assert server.hear(headers) == b"\0\0\x01\x01\x05\0\0\0\x03\x88"


def test_tls_is_answered() -> None:
    made = LookAlikes()
    context = tls_context(made.private_key() + made.certificate(["x.example"]))
    server = Talk(ANSWERS, 443, context)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(received, sent)
    answer = b""
    for _ in range(10):
        try:
            client.do_handshake()
            client.write(GET)
            received.write(server.hear(sent.read()))
            answer = client.read()
            break
        except ssl.SSLWantReadError:
            received.write(server.hear(sent.read()))
    assert answer.startswith(b"HTTP/1.1 200 ")


@given(st.lists(st.binary(max_size=80), max_size=6), st.sampled_from([80, 25, 3306, 99]))
def test_any_bytes_are_survived(parts: list[bytes], port: int) -> None:
    server = talk(port)
    server.begin()
    for part in parts:
        assert isinstance(server.hear(part), bytes)


HEADER = struct.pack("!6H", 77, 0x100, 1, 0, 0, 0)


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return HEADER + labels + b"\0" + struct.pack("!2H", kind, 1)


def test_name_has_one_address() -> None:
    response = resolve(query("app.example.org", 1))
    assert response
    assert struct.unpack_from("!6H", response) == (77, 0x8180, 1, 1, 0, 0)
    assert ".".join(map(str, response[-4:])) == address_of("APP.example.org.")
    assert address_of("app.example.org").startswith("198.18.")


def test_service_has_servers() -> None:
    response = resolve(query("_http._tcp.app.example.org", 33))
    assert response
    assert struct.unpack_from("!H", response, 6) == (2,)
    assert struct.pack("!3H", 1, 1, 80) + b"\x08server-1\x05_http" in response


def test_other_records_are_empty() -> None:
    response = resolve(query("app.example.org", 28))
    assert response
    assert struct.unpack_from("!H", response, 6) == (0,)


@given(st.binary(max_size=60))
def test_noise_is_not_a_query(noise: bytes) -> None:
    for text in (noise, HEADER + noise):
        response = resolve(text)
        assert response is None or response[:2] == text[:2]


WEBSOCKET = b"GET /chat HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


@given(st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.binary(max_size=125)), max_size=4))
def test_websocket_gets_each_text_back(messages: list[tuple[bytes, bytes]]) -> None:
    server = talk()
    assert b"".join(server.hear(bytes([byte])) for byte in WEBSOCKET).endswith(
        # The example of RFC 6455, section 1.3.
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    for mask, text in messages:
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        frame = bytes([0x81, 0x80 | len(text)]) + mask + masked
        heard = b"".join(server.hear(bytes([byte])) for byte in frame)
        assert heard == bytes([0x81, len(text)]) + text
    assert not server.is_over
