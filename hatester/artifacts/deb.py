"""Debian package files: their descriptions, what they install, and a kernel's files in them."""

from __future__ import annotations

import errno
import io
import posixpath
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hatester.artifacts import disk
from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.versions import debian_order

_FIELDS = ("Package", "Version", "Depends")
_MERGED = re.compile(r"^usr/(?=lib/|bin/)")
_WANTED = re.compile(r"^(?:boot/vmlinuz-[^/]+|lib/modules/[^/]+/.+|bin/busybox)$")

UNPACKED_BYTES = 4 << 30
"""Of a package, at most: a kernel with all its modules takes less than 1 GiB."""
UNPACKED_MEMBERS = 100_000
"""Of a package, at most: a kernel's headers, the package with the most files, have 20 000."""

_BROKEN = (tarfile.TarError, ArithmeticError, LookupError, ValueError)
"""Exceptions for broken archives: tarfile checks its own format, but not the numbers and the names
in a header."""
_UNFIT = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""Errors for packages with names that are too long, or a file and a folder of one name."""


@dataclass(frozen=True)
class Deb:
    """A package file, with its own description."""

    file: Path
    name: str
    version: str
    depends: str


def read_deb(file: Path) -> Deb:
    """Read a package's own description. Raises MeasurementError if it is not a Debian package."""
    form = "".join(f"${{{field}}}\\n" for field in _FIELDS)
    command = ("dpkg-deb", "--show", f"--showformat={form}", str(file))
    try:
        name, version, depends = process.run(command, seconds=disk.SECONDS).split("\n")[:3]
        debian_order(version)
    except (process.CommandError, ValueError) as error:
        raise MeasurementError(f"{file} is not a Debian package") from error
    return Deb(file, name, version, depends)


def unpack(file: Path, tree: Path) -> None:
    """Extract the kernel and busybox of a package to a folder: as `boot`, `lib`, `bin`.

    Of these, only the files themselves: a package has no links by which it could reach anything
    else. Raises MeasurementError for one that cannot be read, or is too large.
    """
    tree.mkdir(exist_ok=True)
    tar = tree / "package.tar"
    script = f'ulimit -f {UNPACKED_BYTES // 512}; dpkg-deb --fsys-tarfile "$1" >"$2"'
    try:
        process.run(["sh", "-euc", script, "sh", file, tar], seconds=disk.SECONDS)
        with tarfile.open(tar) as members:
            for member, content in _bounded(members):
                name = _MERGED.sub("", posixpath.normpath(member.name.lstrip("/")))
                if content and _WANTED.match(name):
                    target = tree / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as copy:
                        shutil.copyfileobj(content, copy)
    except (process.CommandError, *_BROKEN) as error:
        raise MeasurementError(f"{file} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno not in _UNFIT:
            raise
        raise MeasurementError(f"{file} cannot be unpacked: {error.strerror}") from error
    finally:
        tar.unlink(missing_ok=True)


def installed_members(package: Path) -> Iterator[disk.Member]:
    """Yield the members of a package except directories, by the names of a merged /usr."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member, content in _bounded(members):
                    member.name = disk.merged(member.name)
                    if member.islnk():
                        member.linkname = disk.merged(member.linkname)
                    # Read here, where it is known what to say of a package that breaks off.
                    if not member.isdir():
                        yield member, content and io.BytesIO(content.read())
        except _BROKEN as error:
            raise MeasurementError(f"{package.name} cannot be unpacked: {error}") from error
    if process.returncode:
        raise MeasurementError(f"{package.name} cannot be unpacked")


def _bounded(archive: tarfile.TarFile) -> Iterator[disk.Member]:
    """Yield the members of a package. Raises ValueError for too many, or too many bytes."""
    size = 0
    for number, member in enumerate(archive):
        size += member.size
        if number >= UNPACKED_MEMBERS or size > UNPACKED_BYTES:
            raise ValueError(
                f"too large (expected at most {UNPACKED_MEMBERS} members of "
                f"{UNPACKED_BYTES >> 20} MiB)"
            )
        # A hole in a sparse file could be larger than any disk.
        is_file = member.isfile() and not member.issparse()
        yield member, archive.extractfile(member) if is_file else None
