"""A resolver that knows every name."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from provision.guest.names import address_of, answer

HEADER = struct.pack("!6H", 77, 0x100, 1, 0, 0, 0)


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return HEADER + labels + b"\0" + struct.pack("!2H", kind, 1)


def test_a_name_has_one_address_always_the_same() -> None:
    response = answer(query("app.example.org", 1))
    assert response
    assert struct.unpack_from("!6H", response) == (77, 0x8180, 1, 1, 0, 0)
    assert ".".join(map(str, response[-4:])) == address_of("APP.example.org.")
    assert address_of("app.example.org").startswith("198.18.")


def test_a_service_has_servers_with_a_port() -> None:
    response = answer(query("_http._tcp.app.example.org", 33))
    assert response
    assert struct.unpack_from("!H", response, 6) == (2,)
    assert struct.pack("!3H", 1, 1, 80) + b"\x08server-1\x05_http" in response


def test_of_other_records_there_are_none() -> None:
    response = answer(query("app.example.org", 28))
    assert response
    assert struct.unpack_from("!H", response, 6) == (0,)


@given(st.binary(max_size=60))
def test_what_is_not_a_query_is_not_answered_or_answered_as_one(noise: bytes) -> None:
    for text in (noise, HEADER + noise):
        response = answer(text)
        assert response is None or response[:2] == text[:2]
