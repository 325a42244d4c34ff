"""The guests' system: one Debian image, so that between guests only the kernel differs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import os
import shlex
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from hatester.artifacts import cache, disk
from hatester.artifacts.apt import Archive
from hatester.artifacts.ssh_keys import Keys
from hatester.util import process
from hatester.util.files import remove
from hatester.util.paths import PROVISION

log = logging.getLogger(__name__)

RECIPE = 1
"""The way to make a system of its ingredients. Raise it with a change in this file or disk.py that
makes another image of the same ingredients. NEEDLESS, DISK_SIZE and the contents of OVERLAY and
CUSTOMISE are ingredients."""
OVERLAY = PROVISION / "guest/system"
CUSTOMISE = PROVISION / "guest/customise.sh"
PACKAGES = (
    "systemd-sysv", "udev", "kmod", "iproute2", "nftables", "openssh-server", "procps", "python3",
)  # fmt: skip
NEEDLESS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
DISK_SIZE = "3G"
"""Of the sparse disk; what a guest writes goes to an overlay of its own."""
MMDEBSTRAP_SECONDS = 900.0
_SCRATCH = "hatester-system-"


class _OwnFile(NamedTuple):
    """A file of ours in a system: its path there, its mode, its content."""

    path: str
    mode: int
    content: bytes


def make_system(archive: Archive, suite: str, keys: Keys) -> Path:
    """Return the disk image of a system that `keys` open, making it if the cache has none.

    Raises MeasurementError when the mirror has no such suite, and UserError without network.
    """
    packages = archive.resolve(suite, *PACKAGES)
    files = _own_files(keys)
    ingredients = {
        "packages": [(p.name, p.version, p.sha256) for p in packages],
        "files": [(f.path, f.mode, hashlib.sha256(f.content).hexdigest()) for f in files],
        "needless": NEEDLESS,
        "size": DISK_SIZE,
    }

    def make(folder: Path) -> None:
        log.info(f"making the system of {suite}")
        _make(archive, suite, files, folder)

    return cache.entry("systems", cache.digest(RECIPE, ingredients), make) / "system.ext4"


def _own_files(keys: Keys) -> list[_OwnFile]:
    """Read our files that go into a system: the overlay, customise.sh, the keys.

    They are read once, so that the name of an entry is that of its content.
    """
    overlay = sorted(path for path in OVERLAY.rglob("*") if path.is_file())
    files = [
        *((str(path.relative_to(OVERLAY)), 0o644, path) for path in overlay),
        ("customise.sh", 0o755, CUSTOMISE),
        ("etc/ssh/ssh_host_ed25519_key", 0o600, keys.host_private),
        ("etc/ssh/ssh_host_ed25519_key.pub", 0o644, keys.host_public),
        ("root/.ssh/authorized_keys", 0o600, keys.public),
    ]
    return [_OwnFile(name, mode, path.read_bytes()) for name, mode, path in files]


def _make(archive: Archive, suite: str, files: Sequence[_OwnFile], folder: Path) -> None:
    own = folder / "own.tar"
    _pack(files, own)
    tar = folder / "system.tar"
    command = [
        "mmdebstrap",
        "--quiet",
        # No mounts in the host's namespace that a killed run would leave behind.
        "--mode=unshare",
        "--variant=minbase",
        "--format=tar",
        "--skip=output/mknod",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *(f"--dpkgopt=path-exclude={path}" for path in NEEDLESS),
        f"--customize-hook=tar-in {shlex.quote(str(own))} /",
        '--customize-hook=chroot "$1" /customise.sh',
        '--customize-hook=rm "$1/customise.sh"',
        suite,
        str(tar),
        *archive.sources(suite).splitlines(),
    ]
    with _scratch() as scratch:
        process.run(command, seconds=MMDEBSTRAP_SECONDS, env={"TMPDIR": str(scratch)})
    disk.make_ext4_from_tar(tar, folder / "system.ext4", DISK_SIZE)
    tar.unlink()
    own.unlink()


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder for mmdebstrap's temporary files, and remove those that killed runs left.

    It is not in the cache: mmdebstrap works there as another user, who may not enter the cache.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        owner = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        state = folder.lstat()
        is_mine = stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()
        if is_mine and owner.isdecimal() and not psutil.pid_exists(int(owner)):
            process.kill_all(functools.partial(_users, folder), "mmdebstrap of a killed run")
            _remove(folder)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
    try:
        scratch.chmod(0o755)
        yield scratch
    finally:
        _remove(scratch)


def _users(scratch: Path) -> list[int]:
    """Return the pids of processes that have their temporary files in a folder."""
    pids = []
    for each in process.others():
        with contextlib.suppress(psutil.Error):  # it has ended
            if each.environ().get("TMPDIR") == str(scratch):
                pids.append(each.pid)
    return pids


def _remove(scratch: Path) -> None:
    """Remove a folder, with files of the subordinate users whom mmdebstrap works as (subuid(5))."""
    remove(scratch)
    if scratch.exists():
        # It fails for the folders at the top, which belong to this user, and are empty then.
        command = ["mmdebstrap", "--unshare-helper", "rm", "-rf", str(scratch)]
        with contextlib.suppress(process.CommandError):
            process.run(command, seconds=disk.SECONDS)
        remove(scratch)


def _pack(files: Sequence[_OwnFile], archive: Path) -> None:
    """Pack our files as a tar archive in which everything is root's, whoever makes it."""
    with tarfile.open(archive, "w") as tar:
        home = tarfile.TarInfo("root/.ssh")
        home.type, home.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(home)
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size, member.mode = len(file.content), file.mode
            tar.addfile(member, io.BytesIO(file.content))
