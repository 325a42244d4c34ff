"""Disk images, made without root."""

from __future__ import annotations

from pathlib import Path

from hatester import commands

SECONDS = 300.0
"""Bound of one command that unpacks or packs an image."""


def make_ext4(folder: Path, image: Path) -> None:
    """A read-only disk with the content of `folder`, all of it owned by root."""
    used = sum(path.lstat().st_size for path in folder.rglob("*"))
    # Room for partly filled blocks, inodes and directories.
    size = int(used * 1.15) + 16 * 2**20
    commands.run(
        ["fakeroot", "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0",
         "-d", folder, image, f"{size // 1024}k"],
        seconds=SECONDS,
    )  # fmt: skip


def make_ext4_from_tar(archive: Path, image: Path, size: str) -> None:
    """A disk of `size` (as mke2fs(8) takes it) with the content of a tar archive."""
    folder = image.with_suffix(".d")
    folder.mkdir()
    # One fakeroot for both, since it remembers the owners only while it lives.
    script = (
        'tar --extract --numeric-owner --file "$1" --directory "$2"'
        ' && mke2fs -q -t ext4 -d "$2" "$3" "$4"'
    )
    commands.run(
        ["fakeroot", "sh", "-euc", script, "sh", archive, folder, image, size], seconds=SECONDS
    )
    commands.run(["rm", "-rf", folder], seconds=SECONDS)
