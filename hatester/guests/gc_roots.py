"""What of the cache is needed by something else: by guests that run, by machines that were kept or
made by hand, and by saved guests.

All of them name files, in one form or another, so that what is needed is one text with paths. What
is made again under the same name has not the same bytes: a guest that goes on with another disk
than it began with would read nonsense.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from hatester.guests import machines
from hatester.util import orphans
from hatester.util.errors import UserError
from hatester.util.paths import MACHINES, PROJECT

_HEADER = struct.Struct(">4sIQI")
_MAGIC = b"QFI\xfb"
_CLUSTER = 1 << 16
"""Of a qcow2 file: it begins with its magic, a version, and offset and length of the name of its
backing file, which is in the first cluster (docs/interop/qcow2.txt of QEMU)."""


def is_named(path: Path, text: str) -> bool:
    """Whether a text has the path of a folder, or of something in it."""
    return any(f"{each}/" in text for each in (path, path.resolve()))


def by_saved(saved: Path) -> str:
    """What a saved guest needs: its kernel's kit, its builds, and the system below its disk."""
    try:
        known = json.loads((saved / "ready.json").read_text())
        names = [
            f"kernels/{known['kit']}",
            *(f"builds/{each}" for each in known["builds"].values()),
        ]
    except (OSError, ValueError, LookupError):  # of no use to anybody
        return ""
    needed = (f"{cache.root() / name}/" for name in names)
    return "\n".join((*needed, _backing(saved / "disk.qcow2")))


def by_machines() -> str:
    """What all machines need that run, or could be started again."""
    folders = machines.folders()
    left = [folder for folder, is_needed in folders.items() if not is_needed]
    needed = [folder for folder, is_needed in folders.items() if is_needed]
    return "\n".join((*_running(left), *_made(needed)))


def _running(killed: Iterable[Path]) -> Iterator[str]:
    """The command lines and the open files of this user's QEMU processes, but for those of killed
    runs, which the next run ends."""
    left = {pid for folder in killed for pid in orphans.machines(folder)}
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) in left:
            continue
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            command = os.fsdecode((process / "cmdline").read_bytes())
            if "qemu-system" in command:
                yield command
                yield from _open_files(process)


def _open_files(process: Path) -> Iterator[str]:
    for file in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed in between
            yield str(file.readlink())


def _made(needed: Iterable[Path]) -> Iterator[str]:
    """The images of machines that there are, also of those that stand still, and what is below
    their disks: in the folders of runs, and by hand."""
    places = [(folder, folder / "machines.json") for folder in needed]
    for folder, file in (*places, (PROJECT / ".vagrant", MACHINES)):
        names = machines.kept_machines(folder)
        images = _images(file) if names else {}
        for name in names:
            yield json.dumps(images.get(name), ensure_ascii=False)
            yield _backing(folder / "machines" / name / "qemu/disk.qcow2")


def _images(file: Path) -> dict[str, Any]:
    try:
        images: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{file} does not say what its machines need: {error}.") from error
    return images


def _backing(disk: Path) -> str:
    """The file below a qcow2 disk; nothing where there is none, or no such disk."""
    try:
        with disk.open("rb") as file:
            beginning = file.read(_CLUSTER)
        magic, _, offset, length = _HEADER.unpack_from(beginning)
    except (OSError, struct.error):
        return ""
    return os.fsdecode(beginning[offset : offset + length]) if magic == _MAGIC else ""
