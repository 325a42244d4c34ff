"""A resolver that knows every name (RFC 1035), for what a configuration talks to by name."""

from __future__ import annotations

import struct
import zlib

_A, _SRV, _IN = 1, 33, 1
_ANSWER = 0x8180  # a response, with recursion asked for and there
_TTL = 60
_HEADER = struct.Struct("!6H")
_SERVICES = 2
"""How many servers there are behind a service's name (RFC 2782)."""
SERVICE_PORT = 80


def address_of(name: str) -> str:
    """Return the address of a name, in 198.18.1.0 to 198.18.200.255 (RFC 2544): always the same."""
    number = zlib.crc32(name.rstrip(".").lower().encode())
    return f"198.18.{1 + (number >> 8) % 200}.{1 + number % 254}"


def answer(query: bytes) -> bytes | None:
    """Return the response to a query: addresses for names, and servers for services.

    There are no records of other types. It is None for what is not a query.
    """
    try:
        identity, _, questions, *_ = _HEADER.unpack_from(query)
        name, end = _name(query, _HEADER.size)
        kind, network = struct.unpack_from("!2H", query, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if questions != 1 or network != _IN:
        return None
    records = _records(name, kind)
    header = _HEADER.pack(identity, _ANSWER, 1, len(records), 0, 0)
    pointer = struct.pack("!H", 0xC000 | _HEADER.size)  # the name of the question
    described = (pointer + struct.pack("!2HIH", kind, _IN, _TTL, len(each)) for each in records)
    return header + query[_HEADER.size : end + 4] + b"".join(map(bytes.__add__, described, records))


def _records(name: str, kind: int) -> list[bytes]:
    if kind == _A:
        return [bytes(map(int, address_of(name).split(".")))]
    if kind == _SRV:
        return [
            struct.pack("!3H", 1, 1, SERVICE_PORT) + _packed(f"server-{number}.{name}")
            for number in range(1, _SERVICES + 1)
        ]
    return []


def _name(message: bytes, start: int) -> tuple[str, int]:
    """Return a name that is not compressed, and where it ends."""
    labels = []
    while length := message[start]:
        labels.append(message[start + 1 : start + 1 + length].decode())
        start += 1 + length
    return ".".join(labels), start + 1


def _packed(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
