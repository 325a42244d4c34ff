"""The cache on disks that fail: an entry is whole, or made again."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.util.errors import UserError
from tests.factories.failing_disk import Disk, Image, restore

TEXT = "kernel" * 9


def _write(folder: Path) -> None:
    (folder / "layout").mkdir()
    (folder / "layout/vmlinuz").write_text(TEXT)
    (folder / "latest").symlink_to("layout")


def _use() -> None:
    cache.entry("kind", "name", _write)
    list(cache.entries("kind", "name"))


def _renew() -> None:
    _use()
    cache.renew("kind", "name", _write)


def _check() -> None:
    folder = cache.entry("kind", "name", _write)
    assert (folder / "latest/vmlinuz").read_text() == TEXT
    assert list(cache.entries("kind", "name")) == [folder]


@pytest.fixture
def mount(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Image], Disk]:
    """Return what makes a disk the cache's."""
    numbers = itertools.count()
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def make(image: Image) -> Disk:
        folder = restore(image, memory / f"{next(numbers)}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        return Disk(folder)

    return make


@pytest.mark.parametrize("act", [_use, _renew])
@pytest.mark.parametrize("lasts", [False, True])
def test_failing_operation_leaves_whole_entries(
    mount: Callable[[Image], Disk], act: Callable[[], None], lasts: bool
) -> None:
    has_failed, fails_at = True, 0
    while has_failed:
        number = (errno.ENOSPC, errno.EIO)[fails_at % 2]
        with closing(mount({})) as disk, disk.mounted():
            disk.fail(fails_at, number, lasts=lasts)
            try:
                act()
                has_failed = disk.mend()
            except UserError as error:
                # Where the old entry cannot be removed, the new one cannot take its place.
                reason = f"{os.strerror(number)}|Directory not empty"
                assert re.fullmatch(rf"/?[^\n]*({reason})[^\n]*\.", str(error))  # noqa: PT017
                disk.mend()
        _check()
        fails_at += 1
    assert fails_at > 10


@pytest.mark.parametrize("act", [_use, _renew])
def test_power_cut_leaves_whole_entries(
    mount: Callable[[Image], Disk], act: Callable[[], None]
) -> None:
    with closing(mount({})) as disk, disk.mounted():
        images = disk.record("cache")
        act()
        images.append(disk.image())
    assert len(images) > 10
    for image in images:
        mount(image).close()
        _check()
