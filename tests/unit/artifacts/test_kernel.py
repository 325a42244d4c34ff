"""The order in which modules are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.artifacts.kernel import load_order
from hatester.util.errors import MeasurementError

DEP = """\
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/legacy.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/legacy.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/net/virtio-net.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/fs/ext4.ko: kernel/fs/jbd2.ko
kernel/fs/jbd2.ko:
kernel/crypto/crc32c_generic.ko: kernel/crypto/hash.ko
kernel/crypto/hash.ko:
"""  # noqa: E501


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "modules.dep").write_text(DEP)
    (tmp_path / "modules.builtin").write_text(
        "kernel/drivers/block/virtio_blk.ko\nkernel/drivers/char/hw_random/virtio-rng.ko\n"
    )
    return tmp_path


def names(modules: Path, *wanted: str) -> list[str]:
    return [Path(path).name for path in load_order(modules, wanted)]


def test_each_module_comes_once_and_after_those_that_it_needs(modules: Path) -> None:
    assert names(modules, "virtio_pci", "virtio_net") == [
        "virtio.ko.xz", "legacy.ko.xz", "virtio_pci.ko.xz", "virtio-net.ko.xz",
    ]  # fmt: skip


def test_what_is_built_in_needs_no_loading(modules: Path) -> None:
    assert load_order(modules, ("virtio_blk", "virtio_rng")) == []


def test_what_a_module_asks_for_by_an_alias_comes_before_it(modules: Path) -> None:
    (modules / "modules.softdep").write_text(
        "# Soft dependencies\nsoftdep ext4 pre: crypto-crc32c unheard-of post: virtio\n"
    )
    (modules / "modules.alias").write_text(
        "# Aliases\nalias crypto-crc32c crc32c_generic\nalias crypto-crc32c crc32c_gone\n"
    )
    assert names(modules, "ext4") == ["jbd2.ko", "hash.ko", "crc32c_generic.ko", "ext4.ko"]


def test_a_kernel_without_virtio_says_so(modules: Path) -> None:
    with pytest.raises(MeasurementError, match="has no virtio_rng9"):
        load_order(modules, ("virtio_rng9",))
    (modules / "modules.builtin").unlink()
    with pytest.raises(MeasurementError, match="has no virtio_blk"):
        load_order(modules, ("virtio_blk",))
