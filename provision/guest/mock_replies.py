"""The replies of mock servers: to checks, so that they succeed, and to queries for names."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import struct
import zlib

from provision.guest.plan import ServerAnswers

_PROXY_1 = re.compile(rb"PROXY [^\r\n]*\r\n")
_PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n"
"""The beginnings of headers (HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2)."""
_REQUEST = re.compile(rb"[A-Z]+ (\S+) HTTP/1\.[01]\r\n")
_KEY = re.compile(rb"\r\nSec-WebSocket-Key: *(\S+)", re.IGNORECASE)
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_BEGINNING = re.compile(rb"[A-Z]{1,7}(?: \S*(?: \S*)?)?\r?")
_HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HANDSHAKE = 0x16  # RFC 8446, section 5.1
_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
_ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"
_HEADERS, _END_STREAM_AND_HEADERS = 1, 5
_OK = b"\x88"  # `:status: 200` (RFC 7541, appendix A)

# src/tcpcheck.c has what each check sends and expects.
_MYSQL = (
    b"\x0a8.0.0\0\x01\0\0\0aaaaaaaa\0\xff\xf7\x21\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0"
    b"bbbbbbbbbbbb\0mysql_native_password\0"
)
_REDIS_CHECK = b"*1\r\n$4\r\nPING\r\n"
_FIRST = {
    "smtp": b"220 hatester ESMTP\r\n",
    "mysql": bytes([len(_MYSQL), 0, 0, 0]) + _MYSQL,
    "agent": b"up 100%\n",
}
_LATER = {
    "smtp": b"250 hatester\r\n",
    "mysql": b"\x07\0\0\x02\0\0\0\x02\0\0\0",
    "pgsql": b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I",
    "ldap": b"0\x0c\x02\x01\x01a\x07\n\x01\0\x04\0\x04\0",
    "redis": b"+PONG\r\n",
}


class Talk:
    """One connection to a mock server, without its socket."""

    def __init__(self, answers: ServerAnswers, port: int, context: ssl.SSLContext | None) -> None:
        self._answers = answers
        self._protocol = answers.protocols.get(str(port), "")
        self._script = [each.encode("latin-1") for each in answers.scripts.get(str(port), ())]
        self._expected = [each.encode("latin-1") for each in answers.expected]
        self._context = context
        self._tls: ssl.SSLObject | None = None
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._heard = b""
        self._messages = 0
        self._is_websocket = False
        self.is_over = False
        """True if the server closes the connection now."""

    def begin(self) -> bytes:
        """Return the greeting of the server."""
        self.is_over = self._protocol == "agent"
        return _FIRST.get(self._protocol) or next(iter(self._script), b"")

    def hear(self, data: bytes) -> bytes:
        """Return the answer to received bytes; empty if more has to come first."""
        if self._tls:
            return self._hear_tls(data)
        self._heard = _without_header(self._heard + data)
        if self._context and self._heard[:1] == bytes([_HANDSHAKE]):
            self._tls = self._context.wrap_bio(self._received, self._sent, server_side=True)
            data, self._heard = self._heard, b""
            return self._hear_tls(data)
        return self._answer()

    def _hear_tls(self, data: bytes) -> bytes:
        assert self._tls is not None
        self._received.write(data)
        try:
            self._tls.do_handshake()
            while chunk := self._tls.read(65536):
                self._heard = _without_header(self._heard + chunk)
                if answer := self._answer():
                    self._tls.write(answer)
            self.is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.is_over = True
        return self._sent.read()

    def _answer(self) -> bytes:
        heard = self._heard
        if self._is_websocket or _KEY.search(heard):
            return self._talk_by_websocket()
        if request := _REQUEST.match(heard):
            if b"\r\n\r\n" not in heard:
                return b""
            self._heard = b""
            self.is_over = self._tls is None
            return self._http(request[1].decode("latin-1"))
        if heard.startswith(_HTTP_2):
            return self._http_2()
        if not heard or _begins_request(heard):
            return b""
        self._heard = b""
        if heard.startswith(_REDIS_CHECK):
            return _LATER["redis"]
        self._messages += 1
        if self._messages < len(self._script):
            return self._script[self._messages]
        return _LATER.get(self._protocol) or b"OK\r\n"

    def _http(self, path: str) -> bytes:
        status = self._answers.statuses.get(path, 200)
        body = b"\n".join([b"OK", *self._expected, b""])
        head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body

    def _talk_by_websocket(self) -> bytes:
        """Return the answer by which a connection becomes a WebSocket, and later its frames."""
        if self._is_websocket:
            return self._echo_frames()
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._is_websocket, self._heard = True, rest
        key = _KEY.search(head)
        accepted = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _WEBSOCKET).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )

    def _echo_frames(self) -> bytes:
        """Return a frame for each that was heard, with the same text (RFC 6455, section 5.2)."""
        rest, answer = self._heard, b""
        while len(rest) >= 6 and len(rest) >= 6 + (length := rest[1] & 0x7F):
            mask, text = rest[2:6], rest[6 : 6 + length]
            answer += bytes([rest[0], length]) + bytes(
                each ^ mask[place % 4] for place, each in enumerate(text)
            )
            rest = rest[6 + length :]
        self._heard = rest
        return answer

    def _http_2(self) -> bytes:
        """Return the frames that end each stream that was begun (RFC 9113, section 4.1)."""
        rest, answer = self._heard[len(_HTTP_2) :], b""
        while len(rest) >= 9 and len(rest) >= 9 + (length := int.from_bytes(rest[:3], "big")):
            kind, flags, stream = rest[3], rest[4], rest[5:9]
            if kind == _SETTINGS[3] and not flags & 1:
                answer += _SETTINGS + _ACKNOWLEDGED
            elif kind == _HEADERS:
                answer += b"\0\0\x01" + bytes([_HEADERS, _END_STREAM_AND_HEADERS]) + stream + _OK
            rest = rest[9 + length :]
        self._heard = _HTTP_2 + rest
        return answer


def _without_header(heard: bytes) -> bytes:
    """Return the bytes after a PROXY header, once the header is complete."""
    if found := _PROXY_1.match(heard):
        return heard[found.end() :]
    if heard.startswith(_PROXY_2) and len(heard) >= 16:
        end = 16 + int.from_bytes(heard[14:16], "big")
        return heard[end:] if len(heard) >= end else heard
    return heard


def _begins_request(heard: bytes) -> bool:
    """Return whether more has to come before the request can be recognized."""
    if len(heard) < len(_PROXY_2) and _PROXY_2.startswith(heard):
        return True
    line = heard.partition(b"\r\n")[0]
    return heard.startswith((b"PROXY ", _PROXY_2)) or (
        line == heard and _BEGINNING.fullmatch(line) is not None
    )


_A, _SRV, _IN = 1, 33, 1
_RESPONSE = 0x8180  # a response, with recursion asked for and there
_TTL = 60
_QUERY_HEADER = struct.Struct("!6H")
_SERVICES = 2
"""The number of servers behind a service's name (RFC 2782)."""
SERVICE_PORT = 80


def address_of(name: str) -> str:
    """Return the address of a name, in 198.18.1.0 to 198.18.200.255 (RFC 2544): always the same."""
    number = zlib.crc32(name.rstrip(".").lower().encode())
    return f"198.18.{1 + (number >> 8) % 200}.{1 + number % 254}"


def resolve(query: bytes) -> bytes | None:
    """Return the response to a query: addresses for names, and servers for services.

    There are no records of other types. It is None for what is not a query.
    """
    try:
        identity, _, questions, *_ = _QUERY_HEADER.unpack_from(query)
        name, end = _name(query, _QUERY_HEADER.size)
        kind, network = struct.unpack_from("!2H", query, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if questions != 1 or network != _IN:
        return None
    records = _records(name, kind)
    response = _QUERY_HEADER.pack(identity, _RESPONSE, 1, len(records), 0, 0)
    response += query[_QUERY_HEADER.size : end + 4]
    for each in records:
        # The first bytes point to the name of the question.
        response += struct.pack("!3HIH", 0xC000 | _QUERY_HEADER.size, kind, _IN, _TTL, len(each))
        response += each
    return response


def _records(name: str, kind: int) -> list[bytes]:
    if kind == _A:
        return [bytes(map(int, address_of(name).split(".")))]
    if kind == _SRV:
        return [
            struct.pack("!3H", 1, 1, SERVICE_PORT) + _pack(f"server-{number}.{name}")
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


def _pack(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
