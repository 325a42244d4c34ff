"""The guests' system: one Debian image, so that between guests only the kernel differs."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from hatester import cache, commands, disks
from hatester.archive import Archive
from hatester.keys import Keys
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


def make_system(archive: Archive, suite: str, keys: Keys) -> Path:
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
        _make(archive, suite, keys, folder)

    return cache.entry("systems", cache.digest(ingredients, recipe), make) / "system.ext4"


def _make(archive: Archive, suite: str, keys: Keys, folder: Path) -> None:
    own = folder / "own"
    shutil.copytree(OVERLAY, own)
    (own / "root/.ssh").mkdir(parents=True)
    shutil.copy(keys.public, own / "root/.ssh/authorized_keys")
    shutil.copy(keys.host_private, own / "etc/ssh/ssh_host_ed25519_key")
    shutil.copy(keys.host_public, own / "etc/ssh/ssh_host_ed25519_key.pub")
    shutil.copy(CUSTOMISE, own / "customise.sh")

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
            f"--customize-hook=sync-in {shlex.quote(str(own))} /",
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
    shutil.rmtree(own)
