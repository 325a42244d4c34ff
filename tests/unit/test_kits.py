"""Kernel kits: the order in which modules are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.errors import MeasurementError
from hatester.kits import load_order

DEP = """\
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/legacy.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/legacy.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/net/virtio-net.ko.xz: kernel/drivers/virtio/virtio.ko.xz
"""  # noqa: E501


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "modules.dep").write_text(DEP)
    (tmp_path / "modules.builtin").write_text("kernel/drivers/block/virtio_blk.ko\n")
    return tmp_path


def test_each_module_comes_once_and_after_those_that_it_needs(modules: Path) -> None:
    order = [Path(path).name for path in load_order(modules, ("virtio_pci", "virtio_net"))]
    assert order == ["virtio.ko.xz", "legacy.ko.xz", "virtio_pci.ko.xz", "virtio-net.ko.xz"]


def test_what_is_built_in_needs_no_loading(modules: Path) -> None:
    assert load_order(modules, ("virtio_blk",)) == []


def test_a_kernel_without_virtio_says_so(modules: Path) -> None:
    with pytest.raises(MeasurementError, match="has no virtio_rng"):
        load_order(modules, ("virtio_rng",))
