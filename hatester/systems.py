"""The guests' system: one Debian image, so that between guests only the kernel differs."""

from __future__ import annotations

import io
import shlex
import tarfile
from pathlib import Path

from hatester import cache, commands, disks
from hatester.archive import Archive
from hatester.keys import Keys
from hatester.notices import Say
from hatester.paths import PROVISION

OVERLAY = PROVISION / "guest/system"
CUSTOMISE = PROVISION / "guest/customise.sh"
PACKAGES = (
    "systemd-sysv", "udev", "kmod", "iproute2", "openssh-server", "procps", "python3",
)  # fmt: skip
NEEDLESS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
DISK_SIZE = "3G"
"""Of the sparse disk; what a guest writes goes to an overlay of its own."""
MMDEBSTRAP_SECONDS = 900.0


def make_system(archive: Archive, suite: str, keys: Keys, say: Say) -> Path:
    """The disk image of a system that `keys` open, made now if the cache has none.

    Raises MeasurementError when the mirror has no such suite, and UserError without network.
    """
    packages = archive.resolve(suite, *PACKAGES)
    ingredients = [
        [(p.name, p.version, p.sha256) for p in packages],
        keys.public.read_text(),
        keys.host_public.read_text(),
    ]
    overlay = sorted(path for path in OVERLAY.rglob("*") if path.is_file())
    recipe = [*overlay, CUSTOMISE, Path(__file__), Path(disks.__file__)]

    def make(folder: Path) -> None:
        say(f"making the system of {suite}")
        _make(archive, suite, keys, folder)

    return cache.entry("systems", cache.digest(ingredients, recipe), make) / "system.ext4"


def _make(archive: Archive, suite: str, keys: Keys, folder: Path) -> None:
    own = folder / "own.tar"
    _pack_own(keys, own)
    tar = folder / "system.tar"
    commands.run(
        [
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
            tar,
            *archive.sources(suite).splitlines(),
        ],
        seconds=MMDEBSTRAP_SECONDS,
    )
    disks.make_ext4_from_tar(tar, folder / "system.ext4", DISK_SIZE)
    tar.unlink()
    own.unlink()


def _pack_own(keys: Keys, archive: Path) -> None:
    """What is ours in a system, as a tar archive: there it is root's, whoever makes it."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(path for path in OVERLAY.rglob("*") if path.is_file()):
            _add(tar, path, str(path.relative_to(OVERLAY)), 0o644)
        _add(tar, CUSTOMISE, "customise.sh", 0o755)
        _add(tar, keys.host_private, "etc/ssh/ssh_host_ed25519_key", 0o600)
        _add(tar, keys.host_public, "etc/ssh/ssh_host_ed25519_key.pub", 0o644)
        home = tarfile.TarInfo("root/.ssh")
        home.type, home.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(home)
        _add(tar, keys.public, "root/.ssh/authorized_keys", 0o600)


def _add(tar: tarfile.TarFile, path: Path, name: str, mode: int) -> None:
    content = path.read_bytes()
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(content), mode
    tar.addfile(file, io.BytesIO(content))
