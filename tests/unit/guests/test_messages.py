"""Lines from guests: their bounds, and how anything else is named."""

from __future__ import annotations

from collections.abc import Iterator

import pydantic
import pytest

from hatester.guests import messages
from hatester.guests.messages import SILENCE_SECONDS, GuestFault, Lines, parse
from provision.guest.protocol import Answer


class Sender:
    """A channel that sends chunks, each after some seconds."""

    def __init__(self, *chunks: tuple[float, bytes]) -> None:
        self.now = 0.0
        self._chunks = iter(chunks)
        self._timeout = 0.0
        self._pending: tuple[float, bytes] | None = None

    def monotonic(self) -> float:
        return self.now

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        seconds, chunk = self._pending or next(self._chunks, (0.0, b""))
        self._pending = None
        self.now += min(seconds, self._timeout)
        if seconds > self._timeout:
            self._pending = (seconds - self._timeout, chunk)
            raise TimeoutError
        assert len(chunk) <= size
        return chunk


def lines(monkeypatch: pytest.MonkeyPatch, *chunks: tuple[float, bytes]) -> Iterator[bytes]:
    """Yield the lines of a sender that has ten minutes."""
    sender = Sender(*chunks)
    monkeypatch.setattr(messages, "time", sender)
    reader = Lines(sender, 600.0)
    while (line := reader.read()) is not None:
        yield line


def test_lines_come_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [(1.0, b"a\n\nb"), (100.0, b"c"), (1.0, b"\nd\n"), (1.0, b"e")]
    assert [*lines(monkeypatch, *chunks)] == [b"a", b"", b"bc", b"d"]


def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError):
        [*lines(monkeypatch, (1.0, b"a"), (SILENCE_SECONDS + 1, b"\n"))]


@pytest.mark.parametrize("last", [b"x", b"x\n"])
def test_time_is_bounded_in_all(monkeypatch: pytest.MonkeyPatch, last: bytes) -> None:
    with pytest.raises(GuestFault, match="did not come to its end within 600 s"):
        [*lines(monkeypatch, *[(100.0, last)] * 10)]


@pytest.mark.parametrize(
    ("chunk", "problem"), [(b"x" * 1000, "a line of more than 4096"), (b"x\n" * 500, "more than 8")]
)
def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch, chunk: bytes, problem: str) -> None:
    monkeypatch.setattr(messages, "MESSAGE_BYTES", 4096)
    monkeypatch.setattr(messages, "SEQUENCE_BYTES", 8192)
    with pytest.raises(GuestFault, match=f"sent {problem}"):
        [*lines(monkeypatch, *[(0.1, chunk)] * 100)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "sent"),
        (b"\xff", "sent"),
        (b"NaN", "expected"),
        (b"[" * 500, "recursion"),
        (b'{"binds": {"a": "\\ud800"}}', "escape"),
        (b'{"binds": {}, "servers": [], "x": 1}', "x: this key is not known"),
        (b'{"binds": {}, "servers": ["' + b"a" * 2000 + b'"]}', "servers: 0: expected at most"),
        (b'{"binds": {"a": 1}, "servers": []}', "binds: a: expected text"),
        (b"[" + b"1," * 4_000_001 + b"1]", "more than 4000000 values"),
    ],
)
def test_anything_else_is_named(line: bytes, problem: str) -> None:
    form = pydantic.TypeAdapter(Answer | int, config=pydantic.ConfigDict(extra="forbid"))
    with pytest.raises(GuestFault, match=problem) as caught:
        parse(line, form)
    assert len(str(caught.value)) < 500
