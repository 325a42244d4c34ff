"""Messages from guests: lines that are read with bounds, and validated.

A guest may send anything. Any fault raises GuestFault with a part of a sentence.
"""

from __future__ import annotations

import time
from typing import Protocol, TypeVar

import pydantic
import pydantic_core

from hatester.util.errors import MeasurementError
from hatester.util.text import brief
from hatester.util.validation import sentence
from provision.guest.protocol import MESSAGE_BYTES

SILENCE_SECONDS = 120.0
"""After which a guest that sends nothing is lost. It gives a sign of life after 15 seconds of its
own time (provision/guest/events.py)."""
SEQUENCE_BYTES = 2 * MESSAGE_BYTES
"""Of all events of one sequence."""
VALUES, FIELDS = 4_000_000, 200_000
"""Of one event, at most: what each becomes takes many times its bytes."""
_CHUNK_BYTES = 1 << 16

T = TypeVar("T")


class GuestFault(MeasurementError):
    """A guest's program did something that it must not: a predicate, to be put after its name.

    `words` is what else there is to say.
    """

    def __init__(self, fault: str, words: str = "") -> None:
        super().__init__(fault)
        self.words = words


class Channel(Protocol):
    """The way to the guest's program; paramiko's channel is one."""

    def settimeout(self, seconds: float) -> None:
        """Have `recv` raise TimeoutError after so many seconds."""

    def recv(self, size: int) -> bytes:
        """Return the bytes that have come, or nothing at the end."""


class Lines:
    """Lines from a guest, bounded in length, in number of bytes, and in total time."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel = channel
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self.rest = bytearray()
        """What came after the last line that was read."""
        self._left = SEQUENCE_BYTES

    def read(self) -> bytes | None:
        """Return the next line; None at the end.

        Raises GuestFault when a bound is exceeded, and TimeoutError when nothing comes.
        """
        searched = 0
        while (end := self.rest.find(b"\n", searched)) < 0:
            searched = len(self.rest)
            if searched >= MESSAGE_BYTES:
                raise GuestFault(f"sent a line of more than {MESSAGE_BYTES} bytes")
            if not (chunk := self._receive()):
                return None
            self.rest += chunk
        line = bytes(self.rest[:end])
        del self.rest[: end + 1]
        return line

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise GuestFault(f"did not come to its end within {self._seconds:.0f} s")
        # The last part of the time must not be taken for silence.
        is_last = left < SILENCE_SECONDS
        self._channel.settimeout(left if is_last else SILENCE_SECONDS)
        try:
            chunk = self._channel.recv(_CHUNK_BYTES)
        except TimeoutError:
            if is_last:
                return self._receive()
            raise
        self._left -= len(chunk)
        if self._left < 0:
            raise GuestFault(f"sent more than {SEQUENCE_BYTES} bytes")
        return chunk


def parse(line: bytes, form: pydantic.TypeAdapter[T]) -> T:
    """Return a line of JSON from a guest as a message.

    Raises GuestFault, with the first mistake, for anything else.
    """
    if line.count(b",") > VALUES or line.count(b'":') > FIELDS:
        raise GuestFault(f"sent more than {VALUES} values or {FIELDS} fields at once")
    try:
        content = pydantic_core.from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise GuestFault(f"sent '{brief(repr(line[:80]))}': {error}") from error
    try:
        return form.validate_python(content)
    except pydantic.ValidationError as error:
        raise GuestFault(f"sent {sentence(error).rstrip('.')}") from error
