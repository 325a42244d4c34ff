"""Kernels that nobody could boot, but look like some: a bzImage's header, modules, packages."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hatester.artifacts.apt import Package
from hatester.artifacts.mirrors import Mirrors

RELEASE = "6.9.1-mine"
NEEDED = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4", "dummy", "overlay")


def bzimage(release: str) -> bytes:
    """As Documentation/arch/x86/boot.rst of Linux has it, as far as the version."""
    header = bytearray(0x300)
    header[0x202:0x206] = b"HdrS"
    header[0x20E:0x210] = struct.pack("<H", 0x80)
    header[0x280:] = release.encode() + b" (me@here) #1 SMP\0"
    return bytes(header)


def module(release: str, *further: str) -> bytes:
    """Return an object file that has only a module's information, such as `alias=NAME`."""
    info = "\0".join((f"vermagic={release} SMP mod_unload ", *further, "")).encode()
    names = b"\0.modinfo\0.shstrtab\0"
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 1, 62, 1, 0, 0, 64 + len(info) + len(names), 0, 64, 0, 0, 64, 3, 2,
    )  # fmt: skip

    def section(name: int, kind: int, at: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, size, 0, 0, 1, 0)

    sections = section(0, 0, 0, 0)
    sections += section(1, 1, 64, len(info)) + section(10, 3, 64 + len(info), len(names))
    return header + info + names + sections


def lay_modules(folder: Path, **files: bytes) -> None:
    """/lib/modules/RELEASE with these files of modules, the rest being built in."""
    (folder / "kernel").mkdir(parents=True)
    for name, content in files.items():
        (folder / f"kernel/{name}.ko").write_bytes(content)
    lines = [f"kernel/{name}.ko\n" for name in NEEDED if name not in files]
    (folder / "modules.builtin").write_text("".join(lines))
    (folder / "modules.order").write_text("".join(f"kernel/{name}.ko\n" for name in files))


def make_deb(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], depends: str = ""
) -> Path:
    """Make a package with these files, by their paths, and return it."""
    tree = folder / f".{name}"
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    return pack(tree, folder, name, version, depends)


def pack(tree: Path, folder: Path, name: str, version: str, depends: str = "") -> Path:
    """Make a package of a folder, links included, and return it."""
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    fields = {"Package": name, "Version": version, "Architecture": "amd64"}
    fields |= {"Maintainer": "me <me@localhost>", "Description": "made up"}
    fields |= {"Depends": depends} if depends else {}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (tree / "DEBIAN/control").write_text(lines)
    file = folder / f"{name}_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def kernel_deb(folder: Path, release: str = RELEASE, version: str = "6.9.1-1") -> Path:
    """Make a kernel with all that is needed built in, as `make bindeb-pkg` packs it."""
    lines = "".join(f"kernel/{name}.ko\n" for name in NEEDED).encode()
    return make_deb(
        folder, f"linux-image-{release}", version,
        {
            f"boot/vmlinuz-{release}": bzimage(release),
            f"lib/modules/{release}/modules.builtin": lines,
            f"lib/modules/{release}/modules.order": b"",
        },
    )  # fmt: skip


class MadeUpArchive:
    """Debian's archive with busybox and, in the suite `trixie`, kernels by their releases."""

    mirrors = Mirrors("http://nowhere", "http://nowhere", "http://nowhere")

    def __init__(self, folder: Path, kernels: Mapping[str, str] | None = None) -> None:
        self._kernels = kernels or {}
        self._folder = folder
        folder.mkdir()

    def versions(self, suite: str, beginning: str) -> list[tuple[str, str]]:
        return [(beginning + release, version) for release, version in self._kernels.items()]

    def resolve(self, suite: str, *packages: str) -> list[Package]:
        return [Package(name, "1.0-1", "0") for name in packages]

    def download(self, suite: str, packages: list[Package], folder: Path) -> list[Path]:
        folder.mkdir()
        return [make_deb(self._folder, "busybox-static", "1.0-1", {"bin/busybox": b"busybox"})]
