"""The sources of kernels; each can be unpacked into a folder of the same form.

In this folder, `boot/vmlinuz-RELEASE` is the kernel, and `lib/modules/RELEASE` has its modules.
From Debian's 7.x on, the kernel is a file `vmlinuz` among its modules.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hatester.artifacts.apt import Archive, Package, debian
from hatester.artifacts.deb import Deb, read_deb, unpack
from hatester.artifacts.download import fetch
from hatester.artifacts.snapshot_archive import snapshot_kernel
from hatester.matrix.declarations import Kernel
from hatester.matrix.kernel_spec import IMAGE, Kernels, SuiteKernel, fitting, flavour_of
from hatester.util.errors import MeasurementError, UserError
from hatester.util.files import checksum
from hatester.util.paths import is_there, matches_of
from hatester.util.versions import debian_order

_PART = re.compile(r"linux-(image|binary|modules|base)-(unsigned-|extra-)?[0-9]")
"""A kernel's packages. In Debian it is one of them up to 6.12, and from 7.x on four; in Ubuntu,
two or three."""
_IMAGE = re.compile(r"^linux-image-(?:unsigned-)?(?=[0-9])")
_SYMBOLS = "-dbg"
_KERNEL = re.compile(rf"{IMAGE}(?P<release>[0-9].*-amd64)")
"""Of the packages that are a kernel: neither its debugging symbols nor an unsigned one."""
_BEGINNING = 0x10000
"""Bytes that have the header, and the version to which it points."""
_MAGIC, _MAGIC_AT = b"HdrS", 0x202
_VERSION_AT, _VERSION_FROM = 0x20E, 0x200
_RELEASE = re.compile(rb"[0-9][!-.0-~]{0,63}")


class KernelSource(NamedTuple):
    """A kernel that is available; its version is its package's, or its release without one."""

    version: str
    ingredients: Callable[[], Any]
    """Returns what distinguishes its files from any others, as JSON."""
    unpack: Callable[[Path], None]
    """Extracts it to a folder."""


def find_source(archive: Archive, kernel: Kernel) -> KernelSource:
    """Find the source of a kernel; one of a URL or of the snapshot archive is downloaded.

    Raises MeasurementError when there is no such kernel, and UserError for a file that is not
    there, or without network.
    """
    if kernel.suite:
        found = fitting(kernel, suite_kernels(archive, kernel.suite))[-1]
        packages = archive.resolve(kernel.suite, found.package)
        parts = [package for package in packages if _PART.match(package.name)]
        return KernelSource(
            found.version,
            lambda: [astuple(package) for package in parts],
            partial(unpack_of_suite, archive, kernel.suite, parts),
        )
    if kernel.vmlinuz:
        vmlinuz = kernel.vmlinuz
        modules, release = _modules(vmlinuz, kernel.modules)
        return KernelSource(
            release,
            partial(_checksums, vmlinuz, modules),
            partial(_copy, vmlinuz, modules, release),
        )
    debs = _parts(_package_files(archive, kernel))
    return KernelSource(
        _image(debs).version,
        lambda: [checksum(deb.file) for deb in debs],
        partial(_unpack_all, debs),
    )


def _package_files(archive: Archive, kernel: Kernel) -> list[Path]:
    if kernel.urls:
        return [fetch(each.url, each.sha256) for each in kernel.urls]
    if not kernel.snapshot:
        return _local(kernel.packages)
    if archive.mirrors.snapshot is None:
        raise UserError(
            f"Where Debian's snapshot archive is, which has the kernel {kernel.snapshot}, must "
            "be said: `snapshot_archive` in invoke.yaml, or INVOKE_HATESTER_SNAPSHOT_ARCHIVE."
        )
    return snapshot_kernel(archive.mirrors.snapshot, kernel.snapshot, kernel.version)


def suite_kernels(archive: Archive, suite: str) -> list[SuiteKernel]:
    """Return all kernels of a suite, from the oldest to the newest.

    Raises MeasurementError when the mirror has no such suite, and UserError without network.
    """
    kernels = [
        SuiteKernel(found["release"], version, flavour_of(found["release"]))
        for name, version in archive.versions(suite, IMAGE)
        if (found := _KERNEL.fullmatch(name))
    ]
    return sorted(kernels, key=lambda each: (debian_order(each.version), each.flavour))


def kernels_of(settings: Any) -> Kernels:
    """Return the lookup of kernels at the mirrors that `invoke.yaml` names, and in local files."""
    return Kernels(lambda suite: suite_kernels(debian(settings), suite), local_release)


def local_release(kernel: Kernel) -> str:
    """Return the release of a kernel of local files; raises as `find_source` does."""
    if kernel.vmlinuz:
        return kernel_release(kernel.vmlinuz)
    return _IMAGE.sub("", _image(_parts(_local(kernel.packages))).name)


def unpack_of_suite(archive: Archive, suite: str, packages: list[Package], tree: Path) -> None:
    """Extract packages of a suite to a folder. Raises as `Archive.download` and `unpack` do."""
    folder = tree.with_name("packages")
    for file in archive.download(suite, packages, folder):
        unpack(file, tree)
    shutil.rmtree(folder)


def _unpack_all(debs: Sequence[Deb], tree: Path) -> None:
    for deb in debs:
        unpack(deb.file, tree)


def _image(debs: Sequence[Deb]) -> Deb:
    return next(deb for deb in debs if _IMAGE.match(deb.name))


def _checksums(vmlinuz: Path, modules: Path) -> list[Any]:
    files = {str(file.relative_to(modules)): checksum(file) for file in _files(modules)}
    return [checksum(vmlinuz), files]


def _copy(vmlinuz: Path, modules: Path, release: str, tree: Path) -> None:
    """Copy a kernel's file and its modules, such as a build leaves them, to a folder."""
    for file in _files(modules):
        target = tree / "lib/modules" / release / file.relative_to(modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    (tree / "boot").mkdir()
    shutil.copyfile(vmlinuz, tree / f"boot/vmlinuz-{release}")


def _files(modules: Path) -> Iterator[Path]:
    """Yield the files in a folder, except those behind links, such as `build` to the source."""
    for folder, _, names in os.walk(modules):
        files = (Path(folder, name) for name in sorted(names))
        yield from (file for file in files if file.is_file() and not file.is_symlink())


def _modules(kernel: Path, modules: Path | None) -> tuple[Path, str]:
    """Return the folder of a kernel's modules, and its release.

    It is `modules`, or in there as `make modules_install` lays it; else beside the kernel.
    """
    release = kernel_release(kernel)
    beside = [kernel.parent, kernel.parent / "modules", kernel.parent.parent]
    places = [modules] if modules else beside
    for place in places:
        for folder in ("lib/modules", "usr/lib/modules", "."):
            if (place / folder / release).is_dir():
                return place / folder / release, release
        if (place / "modules.order").is_file():
            return place, release
    place = modules or kernel.parent
    raise UserError(f"{place}: there are no modules of {kernel.name}, which is Linux {release}.")


def _local(paths: Sequence[Path]) -> list[Path]:
    """Return the package files that paths name: themselves, those of a folder, of a pattern.

    Raises UserError for a path that names none.
    """
    files: list[Path] = []
    for path in paths:
        pattern = path / "*.deb" if is_there(path, Path.is_dir) else path
        found = [file for file in matches_of(pattern) if is_there(file, Path.is_file)]
        if not found:
            raise UserError(f"{path}: {_lack(path)}.")
        files += found
    return files


def _lack(path: Path) -> str:
    if is_there(path, Path.is_dir) or any(each in str(path) for each in "*?["):
        return "there is no Debian package"
    return "it is not a regular file" if is_there(path) else "there is no such file"


def _parts(files: Sequence[Path]) -> list[Deb]:
    """Return the packages of one kernel among files, each in its newest version there.

    Raises MeasurementError when they have no kernel, or several.
    """
    newest: dict[str, Deb] = {}
    debs = (read_deb(file) for file in files)
    for deb in sorted(debs, key=lambda each: debian_order(each.version)):
        if _PART.match(deb.name) and not deb.name.endswith(_SYMBOLS):
            newest[deb.name] = deb
    images = [name for name in newest if _IMAGE.match(name)]
    if len(images) != 1:
        found = f"{len(images)} kernels ({', '.join(sorted(images))})" if images else "no kernel"
        raise MeasurementError(f"{found} in {', '.join(map(str, files))}, expected one")
    return sorted(newest.values(), key=lambda deb: deb.name)


def kernel_release(file: Path) -> str:
    """Return the release of a kernel for x86, as `uname -r` gives it.

    Raises UserError for a file that cannot be read, and MeasurementError for another one.
    """
    try:
        with file.open("rb") as kernel:
            header = kernel.read(_BEGINNING)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    if header[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise MeasurementError(f"{file} is not a kernel that can be booted (a bzImage for x86)")
    at = int.from_bytes(header[_VERSION_AT : _VERSION_AT + 2], "little")
    found = _RELEASE.match(header, _VERSION_FROM + at) if at else None
    if not found:
        raise MeasurementError(f"{file} does not say which version of Linux it is")
    return found[0].decode()
