"""Kernel kits: what they are made of, and what is said of a kernel that cannot be a guest's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from hatester.artifacts import kernel
from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel import BOOT_MODULES, INIT, RECIPE, USED, Kit, make_kit
from hatester.matrix.declarations import Kernel
from hatester.util.errors import MeasurementError, UserError
from tests.factories.kernels import (
    RELEASE,
    MadeUpArchive,
    bzimage,
    kernel_deb,
    lay_modules,
    make_deb,
    module,
    pack,
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return cast(Archive, MadeUpArchive(tmp_path / "archive"))


def made(archive: Archive, **source: Any) -> Kit:
    return make_kit(archive, Kernel(**source))


def in_initrd(kit: Kit) -> set[str]:
    listed = subprocess.run(
        ["cpio", "--list", "--quiet"],
        input=kit.initrd.read_bytes(),
        capture_output=True,
        check=True,
    )
    return set(listed.stdout.decode().split())


def read_initrd(kit: Kit, path: str) -> bytes:
    command = ["cpio", "--extract", "--to-stdout", "--quiet", path]
    initrd = kit.initrd.read_bytes()
    return subprocess.run(command, input=initrd, capture_output=True, check=True).stdout


def in_modules(kit: Kit, path: str) -> str:
    command = ["debugfs", "-R", f"cat /{RELEASE}/{path}", str(kit.modules)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_packages_become_a_kit(archive: Archive, tmp_path: Path) -> None:
    kit = made(archive, packages=[kernel_deb(tmp_path)])
    assert (kit.release, kit.version) == (RELEASE, "6.9.1-1")
    assert kit.vmlinuz.read_bytes() == bzimage(RELEASE)
    assert {"init", "bin/busybox", "modules/order"} <= in_initrd(kit)
    assert "virtio_blk" in in_modules(kit, "modules.builtin")
    assert sorted(path.name for path in kit.folder.iterdir()) == [
        ".manifest.json", "initrd", "kit.json", "modules.ext4", "vmlinuz",
    ]  # fmt: skip


def built(folder: Path, **files: bytes) -> dict[str, Path]:
    """Make a kernel's file and its modules, such as a build leaves them."""
    lay_modules(folder / "lib/modules" / RELEASE, **files)
    (folder / "vmlinuz").write_bytes(bzimage(RELEASE))
    return {"vmlinuz": folder / "vmlinuz", "modules": folder}


def test_kernel_and_modules_become_a_kit(archive: Archive, tmp_path: Path) -> None:
    source = built(tmp_path / "out", virtio_net=module(RELEASE), virtio_blk=module(RELEASE))
    (tmp_path / "out/lib/modules" / RELEASE / "build").symlink_to("/etc")
    (tmp_path / "out/lib/modules" / RELEASE / "kernel/leak.ko").symlink_to("/etc/passwd")
    kit = made(archive, **source)
    assert (kit.release, kit.version) == (RELEASE, RELEASE)
    assert {"modules/virtio_net.ko", "modules/virtio_blk.ko"} <= in_initrd(kit)
    assert in_modules(kit, "kernel/leak.ko") == in_modules(kit, "build/passwd") == ""
    assert in_modules(kit, "modules.dep").startswith("kernel/")


def test_rebuilt_kernel_makes_a_new_kit(archive: Archive, tmp_path: Path) -> None:
    source = built(tmp_path / "out", virtio_blk=module(RELEASE))
    first = made(archive, **source)
    assert made(archive, **source).folder == first.folder
    changed = tmp_path / "out/lib/modules" / RELEASE / "kernel/virtio_blk.ko"
    changed.write_bytes(module(RELEASE) + b"fixed")
    assert made(archive, **source).folder != first.folder


@pytest.mark.parametrize(
    ("name", "value"),
    [("RECIPE", RECIPE + 1), ("BOOT_MODULES", BOOT_MODULES[:-1]), ("USED", USED[:-1])],
)
def test_recipe_and_modules_name_the_kit(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    package = kernel_deb(tmp_path)
    first = made(archive, packages=[package])
    monkeypatch.setattr(kernel, name, value)
    assert made(archive, packages=[package]).folder != first.folder


def test_init_content_names_the_kit(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = kernel_deb(tmp_path)
    first = made(archive, packages=[package])
    init = tmp_path / "init"
    init.write_bytes(INIT.read_bytes())
    monkeypatch.setattr(kernel, "INIT", init)
    assert made(archive, packages=[package]).folder == first.folder
    init.write_text("#!/bin/busybox sh\n")
    other = made(archive, packages=[package])
    assert other.folder != first.folder
    assert read_initrd(other, "init") == init.read_bytes()


def test_module_is_loaded_after_those_that_it_asks_for(archive: Archive, tmp_path: Path) -> None:
    files = {
        "ext4": module(RELEASE, "softdep=pre: crypto-crc32c unheard-of post: virtio_net"),
        "crc32c-generic": module(RELEASE, "alias=crypto-crc32c", "softdep=pre: hash"),
        "hash": module(RELEASE),
        "virtio_pci": module(RELEASE, "softdep=pre: hash"),
    }
    kit = made(archive, **built(tmp_path / "out", **files))
    assert read_initrd(kit, "modules/order").decode().split() == [
        "hash.ko", "virtio_pci.ko", "crc32c-generic.ko", "ext4.ko",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["gz", "zst", "xz"])
def test_modules_may_be_compressed(archive: Archive, tmp_path: Path, suffix: str) -> None:
    source = built(tmp_path / "out", virtio_blk=module(RELEASE))
    file = tmp_path / "out/lib/modules" / RELEASE / "kernel/virtio_blk.ko"
    tools = {"gz": ["gzip"], "zst": ["zstd", "-q", "--rm"], "xz": ["xz"]}
    subprocess.run([*tools[suffix], file], check=True)
    assert "modules/virtio_blk.ko" in in_initrd(made(archive, **source))


@pytest.mark.parametrize("lacking", ["virtio_pci", "virtio_net", "dummy", "overlay", "ext4"])
def test_lacking_kernel_is_named(archive: Archive, tmp_path: Path, lacking: str) -> None:
    source = built(tmp_path / "out")
    builtin = tmp_path / "out/lib/modules" / RELEASE / "modules.builtin"
    builtin.write_text(builtin.read_text().replace(f"kernel/{lacking}.ko\n", ""))
    with pytest.raises(MeasurementError, match=rf"^the kernel 6\.9\.1-mine has no {lacking}$"):
        made(archive, **source)


def test_module_of_another_kernel_is_named(archive: Archive, tmp_path: Path) -> None:
    source = built(tmp_path / "out", virtio_blk=module("6.9.0"))
    with pytest.raises(MeasurementError, match=r"virtio_blk\.ko is of Linux 6\.9\.0, not of 6\.9"):
        made(archive, **source)


def test_foreign_modules_beside_a_built_in_boot(archive: Archive, tmp_path: Path) -> None:
    source = built(tmp_path / "out", dummy=module("6.9.0"))
    with pytest.raises(MeasurementError, match=r"dummy\.ko is of Linux 6\.9\.0, not of 6"):
        made(archive, **source)


def test_corrupt_module_is_named(archive: Archive, tmp_path: Path) -> None:
    source = built(tmp_path / "out", virtio_blk=module(RELEASE))
    file = tmp_path / "out/lib/modules" / RELEASE / "kernel/virtio_blk.ko"
    file.rename(file.with_suffix(".ko.gz"))
    with pytest.raises(MeasurementError, match="cannot be read: find failed"):
        made(archive, **source)


def test_package_links_stay_inside(archive: Archive, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib/modules").symlink_to(tmp_path / "outside")
    (tree / "boot").mkdir()
    (tree / "boot" / f"vmlinuz-{RELEASE}").symlink_to("/etc/passwd")
    file = pack(tree, tmp_path, f"linux-image-{RELEASE}", "1")
    (tmp_path / "outside").mkdir()
    with pytest.raises(MeasurementError, match="its modules are those of no kernel"):
        made(archive, packages=[file])
    assert not list((tmp_path / "outside").iterdir())


def test_file_that_is_also_a_folder_is_named(archive: Archive, tmp_path: Path) -> None:
    one = make_deb(tmp_path, f"linux-image-{RELEASE}", "1", {f"lib/modules/{RELEASE}/x": b""})
    other = make_deb(tmp_path, f"linux-modules-{RELEASE}", "1", {f"lib/modules/{RELEASE}/x/y": b""})
    with pytest.raises(MeasurementError, match=r"linux-modules-.* cannot be unpacked: "):
        made(archive, packages=[one, other])


def test_foreign_modules_are_named(archive: Archive, tmp_path: Path) -> None:
    files = {f"boot/vmlinuz-{RELEASE}": bzimage("6.9.0"), f"lib/modules/{RELEASE}/x": b""}
    file = make_deb(tmp_path, f"linux-image-{RELEASE}", "1", files)
    with pytest.raises(MeasurementError, match=r"is Linux 6\.9\.0, and its modules are of 6"):
        made(archive, packages=[file])


def test_newest_package_of_a_folder(archive: Archive, tmp_path: Path) -> None:
    for version in ("6.9.1-9", "6.9.1-10"):
        kernel_deb(tmp_path, version=version)
    make_deb(tmp_path, "linux-headers-6.9.1-mine", "6.9.1-11", {"usr/x": b""})
    make_deb(tmp_path, "linux-image-6.9.1-mine-dbg", "6.9.1-11", {"usr/x": b""})
    for source in (tmp_path, tmp_path / "*.deb"):
        assert made(archive, packages=[source]).version == "6.9.1-10"


def test_ambiguous_kernel_costs_its_cells(archive: Archive, tmp_path: Path) -> None:
    headers = make_deb(tmp_path, "linux-headers-6.9.1-mine", "1", {"usr/x": b""})
    with pytest.raises(MeasurementError, match=r"no kernel in .*amd64\.deb, expected one$"):
        made(archive, packages=[headers])
    several = [kernel_deb(tmp_path), kernel_deb(tmp_path, "6.9.2-mine")]
    with pytest.raises(MeasurementError, match=r"2 kernels \(linux-image-6\.9\.1-mine, linux-"):
        made(archive, packages=several)
    (tmp_path / "text.deb").write_text("no package")
    with pytest.raises(MeasurementError, match=r"text\.deb is not a Debian package"):
        made(archive, packages=[tmp_path / "text.deb"])
    (tmp_path / "text").write_text("no kernel")
    with pytest.raises(MeasurementError, match=r"text is not a kernel that can be booted"):
        made(archive, vmlinuz=tmp_path / "text")


def test_missing_kernel_is_a_user_error(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/\*\.deb: there is no Debian package\.$"):
        made(archive, packages=[tmp_path / "*.deb"])
    with pytest.raises(UserError, match=r"vmlinuz cannot be read: No such file or directory\.$"):
        made(archive, vmlinuz=tmp_path / "vmlinuz")
    source = built(tmp_path / "out")
    source["modules"] = tmp_path / "elsewhere"
    with pytest.raises(UserError, match=r"no modules of vmlinuz, which is Linux 6\.9\.1-mine\.$"):
        made(archive, **source)
