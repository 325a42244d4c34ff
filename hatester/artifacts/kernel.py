"""Kernel kits: what QEMU boots directly, so that a further kernel costs seconds, not a system.

A kit is `vmlinuz`, `initrd` (a static busybox, the virtio modules and our init) and
`modules.ext4` (all modules of the kernel, mounted read-only at /usr/lib/modules).
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import re
import shutil
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import pydantic

from hatester.artifacts import cache, disk
from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel_source import find_source, kernel_release, unpack_of_suite
from hatester.matrix.declarations import Kernel
from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.paths import PROVISION

log = logging.getLogger(__name__)

RECIPE = 1
"""The way to make a kit of its ingredients. Raise it with a change in this file, deb.py, disk.py or
kernel_source.py that makes another kit of the same ingredients, or
refuses them. BOOT_MODULES, USED and the content of INIT are ingredients."""
INIT = PROVISION / "guest/initramfs-init"
BUSYBOX = "busybox-static"
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4")
USED = ("dummy", "overlay")
"""Modules that every scenario needs: for interfaces with addresses, and a writable root."""
_UNPACK = {".ko.gz": ("gzip", "-d", "-q"), ".ko.zst": ("zstd", "-d", "-q", "--rm")}
_INSMOD = re.compile(r"^insmod (.+?\.ko(?:\.xz)?)(?:\s|$)", re.MULTILINE)
_VERMAGIC = re.compile(rb"vermagic=([!-~]+)")


class _Description(pydantic.BaseModel):
    """The content of `kit.json`."""

    release: str
    version: str


@dataclass(frozen=True)
class Kit:
    """A kernel to boot: its release as `uname -r` gives it, its package version, its files."""

    release: str
    version: str
    folder: Path

    @property
    def vmlinuz(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def modules(self) -> Path:
        return self.folder / "modules.ext4"


def kit_version(archive: Archive, kernel: Kernel) -> str:
    """Return the package version that a kit has, or would have; raises as `make_kit` does."""
    return find_source(archive, kernel).version


def make_kit(archive: Archive, kernel: Kernel) -> Kit:
    """Return the kit of a kernel, making it now if the cache has none.

    Raises MeasurementError when there is no such kernel, or it cannot be a guest's, and UserError
    without network.
    """
    source = find_source(archive, kernel)
    tools = [p for p in archive.resolve(kernel.system, BUSYBOX) if p.name == BUSYBOX]
    # Read once, so that the name of the entry is that of its content.
    init = INIT.read_bytes()
    ingredients = {
        "kernel": source.ingredients(),
        "tools": [astuple(package) for package in tools],
        "init": hashlib.sha256(init).hexdigest(),
        "boot_modules": BOOT_MODULES,
        "used": USED,
    }

    def make(folder: Path) -> None:
        log.info(f"making the kit of Linux {source.version}")
        tree = folder / "tree"
        source.unpack(tree)
        unpack_of_suite(archive, kernel.system, tools, tree)
        release = _make(tree, init, folder)
        description = _Description(release=release, version=source.version)
        (folder / "kit.json").write_text(description.model_dump_json())

    folder = cache.entry("kernels", cache.digest(RECIPE, ingredients), make)
    description = cache.read_description(folder, "kit.json", _Description)
    return Kit(description.release, description.version, folder)


def _make(tree: Path, init: bytes, folder: Path) -> str:
    """Make a kit of the content of `tree`: a source's files and busybox. Returns its release."""
    modules = _only_modules(tree)
    release = modules.name
    kernel = next(
        (p for p in (tree / f"boot/vmlinuz-{release}", modules / "vmlinuz") if p.is_file()), None
    )
    if kernel is None:
        raise MeasurementError(f"the kernel {release} has no vmlinuz")
    if (found := kernel_release(kernel)) != release:
        raise MeasurementError(f"the kernel is Linux {found}, and its modules are of {release}")
    kernel.rename(folder / "vmlinuz")
    _index(modules, tree)
    for path in load_order(modules, USED):
        _plain_content(path, release)
    _make_initrd(modules, tree / "bin/busybox", init, folder)
    disk.make_ext4(tree / "lib/modules", folder / "modules.ext4")
    shutil.rmtree(tree)
    return release


def _only_modules(tree: Path) -> Path:
    """Return the folder of the modules. Raises MeasurementError unless there is exactly one."""
    found = sorted(path for path in (tree / "lib/modules").glob("*") if path.is_dir())
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "no kernel"
        raise MeasurementError(f"its modules are those of {names}")
    return found[0]


def _index(modules: Path, tree: Path) -> None:
    """Make what modprobe needs, of modules that kmod of any Debian system can read."""
    try:
        for suffix, tool in _UNPACK.items():
            if any(modules.rglob(f"*{suffix}")):
                find = ("find", str(modules), "-name", f"*{suffix}", "-exec", *tool, "{}", "+")
                process.run(find, seconds=disk.SECONDS)
        process.run(["depmod", "-b", tree, modules.name], seconds=disk.SECONDS)
    except process.CommandError as error:
        raise MeasurementError(f"the modules of {modules.name} cannot be read: {error}") from error


def _make_initrd(modules: Path, busybox: Path, init: bytes, folder: Path) -> None:
    root = folder / "initrd.d"
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    (root / "init").write_bytes(init)
    (root / "init").chmod(0o755)
    order = load_order(modules, BOOT_MODULES)
    for path in order:
        (root / "modules" / _plain_name(path)).write_bytes(_plain_content(path, modules.name))
    (root / "modules/order").write_text("".join(_plain_name(path) + "\n" for path in order))
    command = "cd initrd.d && find . | cpio --quiet --create --format=newc --owner=0:0 >../initrd"
    process.run(["sh", "-euc", command], seconds=disk.SECONDS, cwd=folder)
    shutil.rmtree(root)


def _plain_content(file: Path, release: str) -> bytes:
    """Return a module as insmod takes it. Raises MeasurementError for another kernel's."""
    content = file.read_bytes()
    try:
        content = lzma.decompress(content) if file.suffix == ".xz" else content
    except lzma.LZMAError as error:
        raise MeasurementError(f"the module {file.name} cannot be unpacked: {error}") from error
    found = _VERMAGIC.search(content)
    if found and (of := found[1].decode()) != release:
        raise MeasurementError(f"the module {file.name} is of Linux {of}, not of {release}")
    return content


def _plain_name(file: Path) -> str:
    return file.name.removesuffix(".xz")


def load_order(modules: Path, names: Sequence[str]) -> list[Path]:
    """Return the module files to load for `names`, each after those that it needs (modprobe(8)).

    Built-in ones are left out. Raises MeasurementError when the kernel lacks one of `names`.
    """
    order: dict[Path, None] = {}
    for name in names:
        # No configuration of this host's takes part.
        options = ["-d", str(modules.parents[2]), "-S", modules.name, "-C", "/dev/null"]
        try:
            steps = process.run(
                ["modprobe", *options, "--show-depends", name], seconds=disk.SECONDS
            )
        except process.CommandError as error:
            raise MeasurementError(f"the kernel {modules.name} has no {name}") from error
        order |= dict.fromkeys(map(Path, _INSMOD.findall(steps)))
    return list(order)
