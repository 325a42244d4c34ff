"""JSON files that tell by themselves whether they are what was written: they have their checksum.

For what is asked of others once and kept. It is no secret, and somebody who wants to can seal what
he likes: it is damage that is noticed, and what is somebody else's.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from hatester.files import set_aside, usable, write_whole

T = TypeVar("T")


class Damaged(Exception):
    """What was kept is not what was made. The message says what of it, and why."""


def write(path: Path, content: Any) -> None:
    """Keep something that JSON can hold. Raises UserError where it cannot be written."""
    with usable(path):
        write_whole(path, _sealed(content).decode())


def read(path: Path, form: pydantic.TypeAdapter[T]) -> T:
    """What was kept.

    Raises Damaged when the file is another than was written, by a single byte, and OSError as
    open(2) has it.
    """
    # A pipe would have it wait for ever.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Damaged("it is no file")
    text = path.read_bytes()
    try:
        content = json.loads(text)["content"]
        is_whole = text == _sealed(content)
    except (ValueError, LookupError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise Damaged("it is not what was written")
    try:
        return form.validate_python(content)
    except pydantic.ValidationError as error:
        raise Damaged("it has another form") from error


def recall(path: Path, form: pydantic.TypeAdapter[T]) -> T | None:
    """What was kept, or None: when there is nothing, or it is damaged and set aside now.

    Raises UserError for a file that cannot be read.
    """
    with usable(path):
        try:
            return read(path, form)
        except FileNotFoundError:
            return None
        except Damaged as error:
            set_aside(path, f"is damaged: {error}")
            return None


def _sealed(content: Any) -> bytes:
    checksum = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps({"sha256": checksum, "content": content}, indent=1) + "\n").encode()
