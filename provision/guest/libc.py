"""Functions of the C library that Python's own does not offer."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBRARY = ctypes.CDLL(None, use_errno=True)
_MS_BIND = 4096  # mount(2)


def call(name: str, *arguments: object) -> int:
    """What a function returns. Raises OSError where it fails."""
    result: int = getattr(_LIBRARY, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(kind: str, place: Path) -> None:
    """Mount a file system of the kernel's own, such as proc."""
    call("mount", b"hatester", os.fsencode(place), kind.encode(), ctypes.c_ulong(0), None)


def mount_over(place: Path, changes: Path) -> None:
    """A folder as it is, but that what is written to it goes to `changes`, which must be empty
    (the kernel's Documentation/filesystems/overlayfs.rst)."""
    upper, work = changes / "upper", changes / "work"
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={place},upperdir={upper},workdir={work}"
    call("mount", b"hatester", os.fsencode(place), b"overlay", ctypes.c_ulong(0), options.encode())


def bind(source: Path, place: Path) -> None:
    call("mount", os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(_MS_BIND), None)


def unmount(place: Path) -> None:
    call("umount2", os.fsencode(place), 0)
