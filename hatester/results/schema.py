"""What is stored of a run: written whole, and believed only as it was written."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from hatester.util.errors import UserError
from hatester.util.files import remove, write_whole
from hatester.util.jsonfile import Damaged, sealed
from hatester.util.paths import RUN_SCHEMA

_QUOTE = 200


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise UserError with the reason where a file cannot be written, or where it is removed."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def keep(path: Path, text: str | None) -> None:
    """Write a file; without a text there is none afterwards, nor an old one.

    Raises UserError where that cannot be done; the old one is there then.
    """
    with writing(path):
        if text is None:
            remove(path)
        else:
            write_whole(path, text)


def keep_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of sealed JSON, as `keep` does."""
    keep(path, sealed(content))


def read(path: Path, checksum: str | None = None) -> bytes:
    """What a file has. Raises Damaged where it cannot be read or has another SHA-256."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged("is not there") from error
    except OSError as error:
        raise Damaged(f"cannot be read ({error.strerror})") from error
    if checksum not in (None, hashlib.sha256(data).hexdigest()):
        raise Damaged("is not as it was written")
    return data


def require_fit(content: object, part: str = "") -> None:
    """Raise Damaged unless a run, or a `part` of one, is as docs/run.schema.json has it.

    That is asked of what no seal vouches for. What cannot be printed does not fit either.
    """
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        mistake = next(_validator(part).iter_errors(content), None)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"is no {part or 'run'} ({error})") from error
    if mistake:
        reason = f"{mistake.json_path}: {mistake.message[:_QUOTE]}"
        raise Damaged(f"is no {part or 'run'} ({reason})")


@functools.cache
def _validator(part: str) -> Draft202012Validator:
    schema = json.loads(RUN_SCHEMA.read_text())
    if part:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    moments = FormatChecker(())
    moments.checks("date-time", raises=ValueError)(_is_moment)
    return Draft202012Validator(schema, format_checker=moments)


def _is_moment(text: object) -> bool:
    return not isinstance(text, str) or bool(datetime.datetime.fromisoformat(text))
