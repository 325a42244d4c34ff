"""Checksums of files: what they are called by in the cache, and whether they are the right ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hatester.util.errors import UserError

_PIECE = 1 << 20


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """In hexadecimal digits. Raises UserError for a file that cannot be read."""
    found = hashlib.new(algorithm)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return found.hexdigest()
