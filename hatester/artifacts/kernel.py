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
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
        "kernel": source.ingredients,
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
        _plain_content(modules / path, release)
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
        content = _plain_content(modules / path, modules.name)
        (root / "modules" / _plain_name(path)).write_bytes(content)
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


def _plain_name(path: str) -> str:
    return Path(path).name.removesuffix(".xz")


def load_order(modules: Path, names: Sequence[str]) -> list[str]:
    """Return the module files to load for `names`, each after those that it needs.

    Built-in ones are left out. Raises MeasurementError when the kernel lacks one of `names`.
    """
    needs = _needs(modules)
    by_name = {module_name(path): path for path in needs}
    built_in = {module_name(path) for path in _lines(modules / "modules.builtin")}
    soft = _soft_needs(modules, by_name)
    order: dict[str, None] = {}
    for name in names:
        if name in by_name:
            for path in _with_needs(by_name[name], needs, soft):
                order[path] = None
        elif name not in built_in:
            raise MeasurementError(f"the kernel {modules.name} has no {name}")
    return list(order)


def module_name(path: str) -> str:
    """Return the name of a module by its file, compressed or not."""
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def _with_needs(
    path: str, needs: Mapping[str, Sequence[str]], soft: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield a module after all that it needs, and after its softdeps (modprobe.d(5)).

    Without the one for a checksum, ext4 mounts nothing.
    """
    for need in (*needs[path], path):
        for asked in soft.get(module_name(need), ()):
            yield from needs[asked]
            yield asked
        yield need


def _needs(modules: Path) -> dict[str, list[str]]:
    """Return the module files that each one needs, in the order in which they are loaded."""
    needs = {}
    for line in _lines(modules / "modules.dep"):
        path, _, dependencies = line.partition(":")
        # modules.dep has the nearest dependency first.
        needs[path] = dependencies.split()[::-1]
    return needs


def _soft_needs(modules: Path, by_name: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the module files that each module asks for, as far as they exist."""
    aliases = defaultdict(list)
    for line in _lines(modules / "modules.alias"):
        alias, _, name = line.removeprefix("alias ").partition(" ")
        aliases[alias.replace("-", "_")].append(name)
    soft = {}
    for line in _lines(modules / "modules.softdep"):
        name, _, asked = line.removeprefix("softdep ").partition(" pre: ")
        wanted = [each.replace("-", "_") for each in asked.partition(" post: ")[0].split()]
        meant = [name for each in wanted for name in (each, *aliases[each])]
        soft[name] = [by_name[each] for each in meant if each in by_name]
    return soft


def _lines(file: Path) -> list[str]:
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return [line for line in lines if not line.startswith("#")]
