"""Answers on connections that go on: complete at their last byte, and not before."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.guest.http_answer import HttpAnswer, read_answer

BODIES = st.binary(max_size=40)
HEADERS = st.sampled_from([b"", b"Connection: close\r\n", b"X: y\r\n"])


@given(BODIES, HEADERS, st.sampled_from([200, 404, 503]))
def test_an_answer_with_a_length_is_complete_at_its_last_byte(
    body: bytes, header: bytes, status: int
) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n".encode() + header + b"\r\n"
    whole = head + body
    for end in range(len(whole)):
        assert read_answer(whole[:end], is_over=False) is None
    is_last = header.startswith(b"Connection")
    assert read_answer(whole, is_over=False) == HttpAnswer(status, body, is_last)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
def test_an_answer_in_chunks_is_complete_with_the_last_one(chunks: list[bytes]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
    for end in range(len(whole) - len(b"0\r\n\r\n")):
        assert read_answer(whole[:end], is_over=False) is None
    assert read_answer(whole, is_over=False) == HttpAnswer(200, b"".join(chunks), is_last=False)


@given(BODIES)
def test_an_answer_without_a_length_lasts_to_the_end_of_its_connection(body: bytes) -> None:
    whole = b"HTTP/1.0 200 OK\r\n\r\n" + body
    assert read_answer(whole, is_over=False) is None
    assert read_answer(whole, is_over=True) == HttpAnswer(200, body, is_last=True)


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
    ],
)
def test_what_ends_early_or_is_no_http_is_refused(received: bytes) -> None:
    try:
        answer = read_answer(received, is_over=True)
    except http.client.HTTPException:
        return
    # A head may end with its connection.
    assert answer == HttpAnswer(200, b"", is_last=True)
    assert received == b"HTTP/1.1 200 OK\r\n"
