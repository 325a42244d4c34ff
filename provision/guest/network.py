"""The guest's network: dummy0, its addresses, the sysctls and the listening sockets."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from provision.guest.errors import GuestError

INTERFACE = "dummy0"
_SYSCTLS = Path("/proc/sys")
_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h


def ip(*arguments: str) -> None:
    """Run ip(8). Raises GuestError with what it says."""
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise GuestError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def add_interface(addresses: list[str]) -> None:
    """Make dummy0 with addresses such as 192.168.42.43/32."""
    ip("link", "add", INTERFACE, "type", "dummy")
    for address in addresses:
        ip("address", "add", address, "dev", INTERFACE)
    ip("link", "set", INTERFACE, "up")


def remove_interface() -> None:
    if (Path("/sys/class/net") / INTERFACE).exists():
        ip("link", "delete", INTERFACE)


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
