"""Disk images, made without root.

A change of what is made here raises RECIPE of haproxy.py, kernel.py and system.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hatester.util import process

SECONDS = 300.0
"""Bound of one command that unpacks or packs an image."""


READ_ONLY = ("-O", "^has_journal", "-m", "0")
"""Options of mke2fs(8) for a file system that is only read."""


def make_ext4(folder: Path, image: Path) -> None:
    """Make a read-only disk with the content of `folder`, all of it owned by root."""
    size = enough(path.lstat().st_size for path in folder.rglob("*"))
    process.run(
        ["fakeroot", "mke2fs", "-q", "-t", "ext4", *READ_ONLY, "-d", folder, image, size],
        seconds=SECONDS,
    )


def enough(sizes: Iterable[int]) -> str:
    """Return the size of a disk, for mke2fs(8), with room for files of these sizes in bytes.

    Partly filled blocks, inodes and directories are included.
    """
    return f"{int(sum(sizes) * 1.15) // 1024 + 16 * 1024}k"


def make_ext4_from_tar(archive: Path, image: Path, size: str, *options: str) -> None:
    """Make a disk with the content of a tar archive; `size` and `options` are mke2fs(8)'s."""
    folder = image.with_suffix(".d")
    folder.mkdir()
    # One fakeroot for both, since it remembers the owners only while it lives.
    script = (
        'tar --extract --numeric-owner --file "$1" --directory "$2"; root=$2; shift 2;'
        ' mke2fs -q -t ext4 -d "$root" "$@"'
    )
    process.run(
        ["fakeroot", "sh", "-euc", script, "sh", archive, folder, *options, image, size],
        seconds=SECONDS,
    )
    process.run(["rm", "-rf", folder], seconds=SECONDS)
