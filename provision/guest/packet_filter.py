"""Packets that vanish: those from and to addresses that a scenario drops, by nft(8)."""

from __future__ import annotations

import subprocess

from provision.guest import transcript
from provision.guest.errors import GuestError

_TABLE = "inet hatester"
_MAKING = "\n".join(
    [
        f"add table {_TABLE}",
        *(f"add set {_TABLE} dropped{n} {{ type ipv{n}_addr; }}" for n in (4, 6)),
        *(
            f"add chain {_TABLE} {hook} {{ type filter hook {hook} priority 0; }}"
            for hook in ("input", "output")
        ),
        *(
            f"add rule {_TABLE} {hook} {family} {end} @dropped{n} drop"
            for hook in ("input", "output")
            for family, n in (("ip", 4), ("ip6", 6))
            for end in ("saddr", "daddr")
        ),
    ]
)


class PacketFilter:
    """The table of our own that drops packets, from the first use on.

    Each method raises GuestError where the kernel or the guest has no nftables.
    """

    def __init__(self) -> None:
        self._is_there = False

    def drop(self, address: str) -> None:
        """Have all packets from and to an address vanish."""
        if not self._is_there:
            self.make()
        _nft(f"add {_element(address)}")

    def pass_(self, address: str) -> None:
        _nft(f"delete {_element(address)}")

    def make(self) -> None:
        """Make the table, in which no address is dropped."""
        _nft(_MAKING)
        self._is_there = True

    def end(self) -> None:
        """Delete the table, if it is there."""
        if self._is_there:
            _nft(f"delete table {_TABLE}")
            self._is_there = False


def _element(address: str) -> str:
    return f"element {_TABLE} dropped{6 if ':' in address else 4} {{ {address} }}"


def _nft(commands: str) -> None:
    for line in commands.splitlines():
        transcript.note("nft", line)
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], check=False, input=commands, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise GuestError("the guest has no nft") from error
    if done.returncode:
        raise GuestError(f"nft: {done.stderr.strip()}")
