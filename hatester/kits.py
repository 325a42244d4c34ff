"""Kernel kits: what QEMU boots directly, so that a further kernel costs seconds, not a system.

A kit is `vmlinuz`, `initrd` (a static busybox, the virtio modules and our init) and
`modules.ext4` (all modules of the kernel, mounted read-only at /usr/lib/modules).
"""

from __future__ import annotations

import json
import lzma
import re
import shutil
from dataclasses import astuple, dataclass
from pathlib import Path

from hatester import cache, commands, debs, disks, kernel_sources, vmlinuz
from hatester.archive import Archive
from hatester.errors import MeasurementError
from hatester.kernel_sources import find_source, unpack_of_suite
from hatester.matrix import Kernel
from hatester.paths import PROVISION
from hatester.progress import Say

INIT = PROVISION / "guest/initramfs-init"
BUSYBOX = "busybox-static"
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4")
USED = ("dummy",)
"""What scenarios cannot do without."""
_UNPACK = {".ko.gz": ("gzip", "-d", "-q"), ".ko.zst": ("zstd", "-d", "-q", "--rm")}
_VERMAGIC = re.compile(rb"vermagic=([!-~]+)")


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


def kit_version(archive: Archive, kernel: Kernel, say: Say) -> str:
    """The package version that a kit has, or would have; raises as `make_kit` does."""
    return find_source(archive, kernel, say).version


def make_kit(archive: Archive, kernel: Kernel, say: Say) -> Kit:
    """The kit of a kernel, made now if the cache has none.

    Raises MeasurementError when there is no such kernel, or it cannot be a guest's, and UserError
    without network.
    """
    source = find_source(archive, kernel, say)
    tools = [p for p in archive.resolve(kernel.system, BUSYBOX) if p.name == BUSYBOX]
    ingredients = [source.ingredients, [astuple(package) for package in tools]]

    def make(folder: Path) -> None:
        say(f"making the kit of Linux {source.version}")
        tree = folder / "tree"
        source.unpack(tree)
        unpack_of_suite(archive, kernel.system, tools, tree)
        release = _make(tree, folder)
        known = {"release": release, "version": source.version}
        (folder / "kit.json").write_text(json.dumps(known))

    modules = (debs.__file__, disks.__file__, kernel_sources.__file__, __file__)
    recipe = [INIT, *map(Path, modules)]
    folder = cache.entry("kernels", cache.digest(ingredients, recipe), make)
    return Kit(folder=folder, **json.loads((folder / "kit.json").read_text()))


def _make(tree: Path, folder: Path) -> str:
    """Make a kit of what a source and busybox have laid into `tree`. Returns its release."""
    modules = _only_modules(tree)
    release = modules.name
    kernel = next(
        (p for p in (tree / f"boot/vmlinuz-{release}", modules / "vmlinuz") if p.is_file()), None
    )
    if kernel is None:
        raise MeasurementError(f"the kernel {release} has no vmlinuz")
    if (found := vmlinuz.release(kernel)) != release:
        raise MeasurementError(f"the kernel is Linux {found}, and its modules are of {release}")
    kernel.rename(folder / "vmlinuz")
    _decompress(modules)
    try:
        commands.run(["depmod", "-b", tree, release], seconds=disks.SECONDS)
    except commands.CommandError as error:
        raise MeasurementError(f"the modules of {release} cannot be indexed: {error}") from error
    load_order(modules, USED)
    _make_initrd(modules, tree / "bin/busybox", folder)
    disks.make_ext4(tree / "lib/modules", folder / "modules.ext4")
    shutil.rmtree(tree)
    return release


def _only_modules(tree: Path) -> Path:
    """The folder of the modules, of which there must be one."""
    found = sorted(path for path in (tree / "lib/modules").glob("*") if path.is_dir())
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "no kernel"
        raise MeasurementError(f"its modules are those of {names}")
    return found[0]


def _decompress(modules: Path) -> None:
    """Unpack what kmod of Debian's systems, or we, could not read."""
    for suffix, tool in _UNPACK.items():
        if any(modules.rglob(f"*{suffix}")):
            find = ("find", str(modules), "-name", f"*{suffix}", "-exec", *tool, "{}", "+")
            commands.run(find, seconds=disks.SECONDS)


def _make_initrd(modules: Path, busybox: Path, folder: Path) -> None:
    root = folder / "initrd.d"
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    shutil.copy(INIT, root / "init")
    order = load_order(modules, BOOT_MODULES)
    for path in order:
        content = (modules / path).read_bytes()
        if path.endswith(".xz"):
            content = lzma.decompress(content)
        _require_fit(path, content, modules.name)
        (root / "modules" / _plain_name(path)).write_bytes(content)
    (root / "modules/order").write_text("".join(_plain_name(path) + "\n" for path in order))
    command = "cd initrd.d && find . | cpio --quiet --create --format=newc --owner=0:0 >../initrd"
    commands.run(["sh", "-euc", command], seconds=disks.SECONDS, cwd=folder)
    shutil.rmtree(root)


def _require_fit(path: str, content: bytes, release: str) -> None:
    """Raise MeasurementError for a module that another kernel would load, but not this one."""
    found = _VERMAGIC.search(content)
    if found and found[1].decode(errors="replace") != release:
        raise MeasurementError(
            f"the module {Path(path).name} is of Linux {found[1].decode(errors='replace')}, and "
            f"not of {release}"
        )


def _plain_name(path: str) -> str:
    return Path(path).name.removesuffix(".xz")


def load_order(modules: Path, names: tuple[str, ...]) -> list[str]:
    """The module files to load for `names`, each after those that it needs (modules.dep(5)).

    Built-in ones are left out. Raises MeasurementError when the kernel lacks one of `names`.
    """
    needs = {}
    for line in (modules / "modules.dep").read_text(errors="replace").splitlines():
        path, _, dependencies = line.partition(":")
        # modules.dep has the nearest dependency first.
        needs[path] = [*reversed(dependencies.split()), path]
    by_name = {_module(path): path for path in needs}
    built_in = {_module(path) for path in _built_in(modules)}
    order: list[str] = []
    for name in names:
        if name in by_name:
            order += [path for path in needs[by_name[name]] if path not in order]
        elif name not in built_in:
            raise MeasurementError(f"the kernel {modules.name} has no {name}")
    return order


def _module(path: str) -> str:
    """The name of a module by its file."""
    return _plain_name(path).removesuffix(".ko").replace("-", "_")


def _built_in(modules: Path) -> list[str]:
    """The files of modules that are part of the kernel itself (kbuild of Linux)."""
    file = modules / "modules.builtin"
    return file.read_text(errors="replace").splitlines() if file.is_file() else []
