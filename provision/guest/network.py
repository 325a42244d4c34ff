"""The guest's network: the scenario's interface and addresses, sysctls, listening sockets."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

from provision.guest import transcript
from provision.guest.errors import GuestError

_SYSCTLS = Path("/proc/sys")
_INTERFACES = Path("/sys/class/net")
LISTENERS = {"/proc/net/tcp": socket.AF_INET, "/proc/net/tcp6": socket.AF_INET6}
"""The kernel's tables of TCP sockets (proc_pid_net(5))."""
# The first line that is not of TCP_LISTEN (include/net/tcp_states.h).
_OTHER = re.compile(rb"\n *\d+: \S+ \S+ (?!0A)\w\w ")
_ACCEPTING = 1 << 16  # __SO_ACCEPTCON of include/uapi/linux/net.h
_TEMPORARY = re.compile(r"\.\d+\.tmp$")
_CHUNK = 1200  # the heading and seven sockets
_PAIR = ["link add veth0 type veth peer name veth1", "link set veth1 up"]
_READY_SECONDS = 10.0
_POLL_SECONDS = 0.02


def ip(*arguments: str, commands: str = "") -> str:
    """What ip(8) prints; `commands` is its standard input. Raises GuestError with what it says."""
    for line in commands.splitlines() or [shlex.join(arguments)]:
        transcript.note("ip", tail=line)
    done = subprocess.run(
        ["ip", *arguments], check=False, input=commands, capture_output=True, text=True
    )
    if done.returncode:
        raise GuestError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Interface:
    """What carries a scenario's addresses: a dummy of any name, or veth0 with its peer veth1."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = list(addresses)
        """Those that it has, or had when it was deleted, such as 192.168.42.43/32."""
        self.known = {each.partition("/")[0] for each in addresses}
        """Those that it had at the beginning, without prefix lengths."""

    def make(self) -> None:
        """Make it, with its addresses. Duplicate address detection is for those that come later.

        Raises GuestError when it is not up in time.
        """
        making = _PAIR if self.name == "veth0" else [f"link add {self.name} type dummy"]
        commands = [*making, f"link set {self.name} up"]
        for address in self.addresses:
            duplicates = " nodad" if ":" in address else ""
            commands.append(f"address add {address} dev {self.name}{duplicates}")
        # One program for all: starting one takes long where the processor is emulated.
        ip("-batch", "-", commands="\n".join(commands))
        deadline = time.monotonic() + _READY_SECONDS
        carrier = _INTERFACES / self.name / "carrier"  # sysfs-class-net of the kernel's ABI
        while carrier.read_text() != "1\n":
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name} has no carrier after {_READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def delete(self) -> None:
        """Delete it, with its peer; it may be gone already."""
        if (_INTERFACES / self.name).exists():
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
    transcript.note("sysctl", "-w", f"{name}={value}")
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
    """Address and port of every listening TCP socket."""
    return {(address, port) for address, port, _ in listening_sockets()}


def listening_sockets() -> list[tuple[str, int, str]]:
    """Address, port and inode of every listening TCP socket."""
    found = []
    for path, family in LISTENERS.items():
        with open(path, "rb", buffering=0) as table:  # noqa: PTH123  # it is read in parts
            for line in listening(table.fileno()).decode().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                found.append((_address(address, family), int(port, 16), fields[9]))
    return found


def listening(table: int) -> bytes:
    """The heading and the listening sockets of an open table of LISTENERS.

    The kernel lists them first (tcp4_seq_show of net/ipv4/tcp_ipv4.c), and prints no more than it
    is asked for: of the others there may be thousands.
    """
    found = b""
    while chunk := os.pread(table, _CHUNK, len(found)):
        found += chunk
        if other := _OTHER.search(found):
            return found[: other.start()]
    return found


def unix_sockets() -> list[tuple[str, str]]:
    """Return name and inode of every listening UNIX socket that has a name (proc_pid_net(5)).

    The name is a path, or `abns@NAME` in the abstract namespace. HAProxy binds a path under another
    name, which stays the kernel's (`uxst_bind_listener()` of src/proto_uxst.c).
    """
    found = []
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _ACCEPTING:
            name = _TEMPORARY.sub("", fields[7])
            found.append((f"abns@{name.strip('@')}" if name[0] == "@" else name, fields[6]))
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
