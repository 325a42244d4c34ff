"""The judgement of answers, to our scenarios and to users' configurations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.guest.connections import ANY, CLOSE, CONNECT, NAMED, PROXY_TLS, TLS, judge

OURS = b"HTTP/1.1 200 OK\r\n\r\nOK - with\n"
OTHER = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x0a"


@pytest.mark.parametrize(
    ("answer", "received", "outcome", "configuration"),
    [
        (NAMED, OURS, "ok", "with"),
        (NAMED, OTHER, "wrong", None),
        (NAMED, TLS_ALERT, "wrong", None),
        (NAMED, b"", "empty", None),
        (ANY, OTHER, "ok", None),
        (ANY, TLS_ALERT, "ok", None),
        (ANY, b"", "empty", None),
        (CLOSE, b"", "ok", None),
        (CLOSE, TLS_ALERT, "ok", None),
        (TLS, TLS_ALERT, "ok", None),
        (PROXY_TLS, b"", "empty", None),
        (CONNECT, b"", "ok", None),
    ],
)
def test_answers_are_judged(
    answer: str, received: bytes, outcome: str, configuration: str | None
) -> None:
    assert judge(answer, received) == (outcome, configuration)


@given(st.sampled_from([NAMED, ANY, CLOSE]), st.binary())
def test_any_bytes_are_judged(answer: str, received: bytes) -> None:
    outcome, configuration = judge(answer, received)
    assert outcome in ("ok", "empty", "wrong")
    assert configuration is None or answer == NAMED
