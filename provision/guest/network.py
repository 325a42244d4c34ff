"""The guest's network: the scenario's interface and addresses, sysctls, listening sockets."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from provision.guest.errors import GuestError

_SYSCTLS = Path("/proc/sys")
_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_KINDS = {"dummy0": ["type", "dummy"], "veth0": ["type", "veth", "peer", "name", "veth1"]}
_READY_SECONDS = 10.0
_POLL_SECONDS = 0.02


def ip(*arguments: str) -> str:
    """What ip(8) prints. Raises GuestError with what it says."""
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise GuestError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Interface:
    """What carries a scenario's addresses: dummy0, or veth0 with its peer veth1."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = list(addresses)
        """Those that it has, or had when it was deleted, such as 192.168.42.43/32."""

    def make(self) -> None:
        """Make it, with its addresses. Duplicate address detection is for those that come later.

        Raises GuestError when it is not up in time.
        """
        ip("link", "add", self.name, *_KINDS[self.name])
        if self.name == "veth0":
            ip("link", "set", "veth1", "up")
        ip("link", "set", self.name, "up")
        for address in self.addresses:
            ip("address", "add", address, "dev", self.name, *(["nodad"] if ":" in address else []))
        deadline = time.monotonic() + _READY_SECONDS
        while "NO-CARRIER" in (shown := ip("link", "show", "dev", self.name)):
            if time.monotonic() > deadline:
                raise GuestError(f"not up within {_READY_SECONDS:.0f} s: {shown}")
            time.sleep(_POLL_SECONDS)

    def delete(self) -> None:
        """Delete it, with its peer; it may be gone already."""
        if (Path("/sys/class/net") / self.name).exists():
            ip("link", "delete", self.name)

    def add(self, address: str) -> None:
        ip("address", "add", address, "dev", self.name)
        self.addresses.append(address)

    def remove(self, address: str) -> None:
        """`address` is without its prefix length."""
        whole = next(each for each in self.addresses if each.partition("/")[0] == address)
        ip("address", "delete", whole, "dev", self.name)
        self.addresses.remove(whole)


def set_sysctl(name: str, value: str) -> str:
    """Set a sysctl(8) name such as net.ipv4.ip_nonlocal_bind; returns what it was.

    Raises GuestError when the kernel has none of that name or refuses the value.
    """
    path = _SYSCTLS / (name if "/" in name else name.replace(".", "/"))
    try:
        before = path.read_text().strip()
        path.write_text(value)
    except FileNotFoundError as error:
        raise GuestError(f"this kernel has no sysctl {name}") from error
    except OSError as error:
        raise GuestError(f"sysctl {name} does not take '{value}': {error.strerror}") from error
    return before


def listeners() -> set[tuple[str, int]]:
    """Address and port of every listening TCP socket (proc_pid_net(5): tcp, tcp6)."""
    found = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                found.add((_address(address, family), int(port, 16)))
    return found


def _address(digits: str, family: int) -> str:
    """The kernel prints an address as 32-bit words in the host's byte order."""
    words = [digits[start : start + 8] for start in range(0, len(digits), 8)]
    packed = b"".join(int(word, 16).to_bytes(4, "little") for word in words)
    return socket.inet_ntop(family, packed)


def printed(address: str, port: int) -> str:
    """An address and a port as /proc/net/tcp and tcp6 have them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
    return "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words) + f":{port:04X}"
