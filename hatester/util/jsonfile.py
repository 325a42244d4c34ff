"""JSON files with a checksum, by which damage and foreign files are noticed.

The last entry, on the line before the brace, has the SHA-256 (sha256sum(1)) of all lines before it.
It does not protect against intent: anybody can compute it.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from hatester.util.files import quarantine, usable, write_whole
from hatester.util.text import brief

_SEAL, _CONTENT = "sha256", "content"

T = TypeVar("T")
Number = TypeVar("Number", int, float)


class Damaged(Exception):
    """The reason why data cannot be trusted: it follows a file's name, or is a sentence."""


def parsed(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises Damaged for anything else (RFC 8259, so without NaN)."""
    try:
        content = json.loads(
            data, parse_constant=_refuse, parse_int=_number(int), parse_float=_number(float)
        )
    except (ValueError, RecursionError) as error:
        raise Damaged(f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise Damaged("is not a JSON object")
    return content


def _number(read: Callable[[str], Number]) -> Callable[[str], Number]:
    """Return a reader of numbers that a float can hold: JSON and Python's int have no limit."""

    def number(text: str) -> Number:
        if math.isinf(float(text)):
            raise ValueError(f"{brief(text)} is too large")
        return read(text)

    return number


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a number")


def _seal(before: bytes) -> bytes:
    return f' "{_SEAL}": "{hashlib.sha256(before).hexdigest()}"\n}}\n'.encode()


def write(path: Path, content: Any) -> None:
    """Write something that JSON can hold. Raises UserError where it cannot be written."""
    whole = json.dumps({_CONTENT: content}, indent=1, allow_nan=False)
    opened = whole.removesuffix("\n}") + ",\n"
    with usable(path):
        write_whole(path, opened + _seal(opened.encode()).decode())


def read(path: Path, form: pydantic.TypeAdapter[T]) -> T:
    """Read what `write` wrote.

    Raises Damaged when the file is another than was written, by a single byte, and OSError as
    open(2) has it.
    """
    # A pipe would have it wait for ever.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Damaged("is not a file")
    data = path.read_bytes()
    content = parsed(data)
    if _SEAL not in content:
        raise Damaged("has no checksum")
    before, _, _ = data.rpartition(f' "{_SEAL}": '.encode())
    if data != before + _seal(before):
        raise Damaged("is not as it was written")
    try:
        return form.validate_python(content.get(_CONTENT))
    except pydantic.ValidationError as error:
        raise Damaged("has another form") from error


def recall(path: Path, form: pydantic.TypeAdapter[T]) -> T | None:
    """Read what `write` wrote; None if there is nothing, or it was damaged and is quarantined.

    Raises UserError for a file that cannot be read.
    """
    with usable(path):
        try:
            return read(path, form)
        except FileNotFoundError:
            return None
        except Damaged as error:
            quarantine(path, str(error))
            return None
