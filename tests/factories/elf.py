"""Made-up ELF files (elf(5)): of what a loader reads, and nothing that could run."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X64, AARCH64 = 62, 183
_HEADER, _SEGMENT, _ENTRY = 64, 56, 16
_NULL, _NEEDED, _STRTAB, _RPATH, _RUNPATH = 0, 1, 5, 15, 29
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3


def elf(
    needed: Sequence[str] = (),
    loader: str = "",
    rpath: str = "",
    runpath: str = "",
    machine: int = X64,
    data: bytes = b"",
) -> bytes:
    """Return an ELF file that needs these libraries and has some data."""
    strings = b"\0"
    tags = []
    for tag, texts in ((_NEEDED, needed), (_RPATH, [rpath]), (_RUNPATH, [runpath])):
        for text in filter(None, texts):
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    interpreter = len(strings)
    strings += loader.encode() + b"\0"

    count = 3 if loader else 2
    strings_at = _HEADER + count * _SEGMENT
    dynamic_at = strings_at + len(strings)
    tags += [(_STRTAB, strings_at), (_NULL, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    size = dynamic_at + len(dynamic)
    segments = [(_LOAD, 0, size), (_DYNAMIC, dynamic_at, len(dynamic))]
    if loader:
        segments.append((_INTERP, strings_at + interpreter, len(loader) + 1))
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, _HEADER, 0, 0,
        _HEADER, _SEGMENT, count, 64, 0, 0,
    )  # fmt: skip
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, at, at, at, length, length, 8)
        for kind, at, length in segments
    )
    return header + table + strings + dynamic + data


def haproxy(version: str = "2.6.1", **how: object) -> bytes:
    """Return a HAProxy that says its version as real ones do."""
    text = f"\0 version {version}, released 2026/10/17\0".encode()
    return elf(data=text, **how)  # type: ignore[arg-type]
