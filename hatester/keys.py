"""The keys that open the guests: this user's, made here, and the guests' own host key."""

from __future__ import annotations

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
    """This user's keys, made now if there are none."""

    def make(folder: Path) -> None:
        for name in ("id_ed25519", "host_ed25519"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hatester"]
            commands.run([*command, "-f", folder / name], seconds=SECONDS)

    return Keys(cache.entry("keys", "guests", make))
