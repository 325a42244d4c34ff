"""What a kernel's file says of itself (Documentation/arch/x86/boot.rst of Linux)."""

from __future__ import annotations

import re
from pathlib import Path

from hatester.util.errors import MeasurementError, UserError

_BEGINNING = 0x10000
"""Bytes that have the header, and the version to which it points."""
_MAGIC, _MAGIC_AT = b"HdrS", 0x202
_VERSION_AT, _VERSION_FROM = 0x20E, 0x200
_RELEASE = re.compile(rb"[0-9][!-.0-~]{0,63}")


def release(file: Path) -> str:
    """The release of a kernel for x86, as `uname -r` gives it.

    Raises UserError for a file that cannot be read, and MeasurementError for another one.
    """
    try:
        with file.open("rb") as kernel:
            header = kernel.read(_BEGINNING)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    if header[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise MeasurementError(f"{file} is no kernel that can be booted (a bzImage for x86)")
    at = int.from_bytes(header[_VERSION_AT : _VERSION_AT + 2], "little")
    found = _RELEASE.match(header, _VERSION_FROM + at) if at else None
    if not found:
        raise MeasurementError(f"{file} does not say which version of Linux it is")
    return found[0].decode()
