"""The keys that open the guests: this user's, made here, and the guests' own host key."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from hatester import cache, commands

SECONDS = 30.0


@dataclass(frozen=True)
class Keys:
    """The folder of the two key pairs."""

    folder: Path

    @property
    def private(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def public(self) -> Path:
        return self.folder / "id_ed25519.pub"

    @property
    def host_private(self) -> Path:
        return self.folder / "host_ed25519"

    @property
    def host_public(self) -> Path:
        return self.folder / "host_ed25519.pub"


def find_keys() -> Keys:
    """This user's keys, made now if there are none; SSH takes none that others could read."""

    def make(folder: Path) -> None:
        for name in ("id_ed25519", "host_ed25519"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hatester"]
            commands.run([*command, "-f", folder / name], seconds=SECONDS)

    keys = Keys(cache.entry("keys", "guests", make))
    for private in (keys.private, keys.host_private):
        # A copy of the cache may have lost its modes.
        if stat.S_IMODE(private.stat().st_mode) != 0o600:
            private.chmod(0o600)
    return keys
