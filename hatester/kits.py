"""Kernel kits: what QEMU boots directly, so that a further kernel costs seconds, not a system.

A kit is `vmlinuz`, `initrd` (a static busybox, the virtio modules and our init) and
`modules.ext4` (all modules of the kernel, mounted read-only at /usr/lib/modules).
"""

from __future__ import annotations

import json
import lzma
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hatester import cache, commands, disks
from hatester.archive import Archive, Package, required_version
from hatester.errors import MeasurementError
from hatester.matrix import Kernel
from hatester.paths import PROVISION
from hatester.progress import Say

INIT = PROVISION / "guest/initramfs-init"
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng")
KERNEL_PACKAGE = re.compile(r"linux-(image|binary|modules|base)-\d")
"""Up to 6.12 a kernel is one package; from 7.x on it is spread over four."""


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
    """The package version that a kit has, or would have; raises as `make_kit` does."""
    return _resolve(archive, kernel)[0]


def _resolve(archive: Archive, kernel: Kernel) -> tuple[str, list[Package]]:
    """The version of the kernel's package, and all packages that a kit is made of."""
    package = f"linux-image-{kernel.flavour}-amd64"
    found = archive.resolve(kernel.suite, package, "busybox-static")
    return required_version(kernel.suite, found, package, kernel.version), found


def make_kit(archive: Archive, kernel: Kernel, say: Say) -> Kit:
    """The kit of a kernel, made now if the cache has none.

    Raises MeasurementError when its suite has no such kernel, and UserError without network.
    """
    version, found = _resolve(archive, kernel)
    wanted = [p for p in found if KERNEL_PACKAGE.match(p.name) or p.name == "busybox-static"]
    ingredients = [(p.name, p.version, p.sha256) for p in wanted]

    def make(folder: Path) -> None:
        say(f"making the kit of Linux {version} ({kernel.suite})")
        _make(archive, kernel.suite, wanted, version, folder)

    recipe = [INIT, Path(__file__), Path(disks.__file__)]
    folder = cache.entry("kernels", cache.digest(ingredients, recipe), make)
    return Kit(folder=folder, **json.loads((folder / "kit.json").read_text()))


def _make(
    archive: Archive, suite: str, packages: list[Package], version: str, folder: Path
) -> None:
    tree = folder / "tree"
    for file in archive.download(suite, packages, folder / "packages"):
        commands.run(["dpkg-deb", "--extract", file, tree], seconds=disks.SECONDS)
    modules = next((p for p in tree.glob("**/lib/modules/*") if (p / "kernel").is_dir()), None)
    if modules is None:
        raise MeasurementError(f"the kernel {version} of suite {suite} has no modules")
    release = modules.name
    vmlinuz = next(
        (p for p in (tree / f"boot/vmlinuz-{release}", modules / "vmlinuz") if p.is_file()), None
    )
    if vmlinuz is None:
        raise MeasurementError(f"the kernel {release} of suite {suite} has no vmlinuz")
    vmlinuz.rename(folder / "vmlinuz")

    # From 7.x on, modules.builtin and modules.order come in a package of their own.
    base = folder / "modules"
    shutil.copytree(modules, base / "lib/modules" / release)
    commands.run(["depmod", "-b", base, release], seconds=disks.SECONDS)
    disks.make_ext4(base / "lib/modules", folder / "modules.ext4")
    _make_initrd(base / "lib/modules" / release, tree, folder)

    for scrap in (tree, base, folder / "packages"):
        shutil.rmtree(scrap)
    (folder / "kit.json").write_text(json.dumps({"release": release, "version": version}))


def _make_initrd(modules: Path, tree: Path, folder: Path) -> None:
    root = folder / "initrd.d"
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    busybox = next(p for p in tree.glob("**/bin/busybox") if p.is_file())
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(INIT, root / "init")
    order = load_order(modules, BOOT_MODULES)
    for path in order:
        content = (modules / path).read_bytes()
        if path.endswith(".xz"):
            content = lzma.decompress(content)
        (root / "modules" / _plain_name(path)).write_bytes(content)
    (root / "modules/order").write_text("".join(_plain_name(path) + "\n" for path in order))
    command = "cd initrd.d && find . | cpio --quiet --create --format=newc --owner=0:0 >../initrd"
    commands.run(["sh", "-euc", command], seconds=disks.SECONDS, cwd=folder)
    shutil.rmtree(root)


def _plain_name(path: str) -> str:
    return Path(path).name.removesuffix(".xz")


def load_order(modules: Path, names: tuple[str, ...]) -> list[str]:
    """The module files to load for `names`, each after those that it needs (modules.dep(5)).

    Built-in ones are left out. Raises MeasurementError when the kernel lacks one of `names`.
    """
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, dependencies = line.partition(":")
        # modules.dep has the nearest dependency first.
        needs[path] = [*reversed(dependencies.split()), path]
    by_name = {_plain_name(path).removesuffix(".ko").replace("-", "_"): path for path in needs}
    built_in = (modules / "modules.builtin").read_text()
    order: list[str] = []
    for name in names:
        if name in by_name:
            order += [path for path in needs[by_name[name]] if path not in order]
        elif f"/{name}.ko" not in built_in:
            raise MeasurementError(f"the kernel {modules.name} has no {name}")
    return order
