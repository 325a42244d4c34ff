"""The keys that open the guests: this user's, made here, and the guests' own host key."""

from __future__ import annotations

import stat
from pathlib import Path

from hatester.artifacts import cache
from hatester.util import process
from hatester.util.files import usable, write_whole

SECONDS = 30.0
GUEST = "hatester-guest"
"""The name by which ssh(1) knows every guest, whatever port leads to it."""
# Vagrant has its own client read no other file of known hosts than the global one.
_SSH_CONFIG = """\
HostKeyAlias {guest}
UserKnownHostsFile "{known_hosts}"
GlobalKnownHostsFile "{known_hosts}"
StrictHostKeyChecking yes
ForwardAgent no
"""


class Keys:
    """The two key pairs in `folder`, and the files by which ssh(1) verifies the guests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private, self.public = folder / "id_ed25519", folder / "id_ed25519.pub"
        self.host_private, self.host_public = folder / "host_ed25519", folder / "host_ed25519.pub"
        self.known_hosts = folder / "known_hosts"
        self.ssh_config = folder.parent / "ssh_config"
        """The file for `ssh -F`: a guest with another host key is not entered.

        It lies beside the keys, since it says where they are, and they can be moved.
        """


def find_keys() -> Keys:
    """Return this user's keys, making them if needed; SSH refuses keys that others can read."""

    def make(folder: Path) -> None:
        made = Keys(folder)
        for file in (made.private, made.host_private):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hatester"]
            process.run([*command, "-f", file], seconds=SECONDS)
        made.known_hosts.write_text(f"{GUEST} {made.host_public.read_text()}")

    keys = Keys(cache.entry("keys", "guests", make))
    with usable(keys.folder):
        for private in (keys.private, keys.host_private):
            # A copy of the cache may have lost its modes.
            if stat.S_IMODE(private.stat().st_mode) != 0o600:
                private.chmod(0o600)
        config = _SSH_CONFIG.format(guest=GUEST, known_hosts=keys.known_hosts)
        if not keys.ssh_config.is_file() or keys.ssh_config.read_text() != config:
            write_whole(keys.ssh_config, config)
    return keys
