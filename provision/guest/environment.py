"""The environment of HAProxy, which a scenario's steps change: addresses, ports, files, sysctls."""

from __future__ import annotations

import contextlib
import ipaddress
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.guest import transcript
from provision.guest.errors import GuestError
from provision.guest.haproxy import HAProxy
from provision.guest.haproxy_root import place_of
from provision.guest.packet_filter import PacketFilter

_SYSCTLS = Path("/proc/sys")
_INTERFACES = Path("/sys/class/net")
_PAIR = ["link add veth0 type veth peer name veth1", "link set veth1 up"]
_READY_SECONDS = 10.0
_POLL_SECONDS = 0.02


def ip(*arguments: str, commands: str = "") -> str:
    """Return the output of iproute2, given `commands`. Raises GuestError with its error."""
    for line in commands.splitlines() or [shlex.join(arguments)]:
        transcript.note("ip", tail=line)
    done = subprocess.run(
        ["ip", *arguments], check=False, input=commands, capture_output=True, text=True
    )
    if done.returncode:
        raise GuestError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Interface:
    """A network interface of a scenario: a dummy of any name, or veth0 with its peer veth1."""

    def __init__(self, name: str, addresses: Sequence[str]) -> None:
        self.name = name
        self.addresses = list(addresses)
        """Its addresses, or those that it had when it was deleted, such as 192.168.42.43/32."""
        self.known = {each.partition("/")[0] for each in addresses}
        """Its addresses at the beginning, without prefix lengths."""

    def make(self) -> None:
        """Make it with its addresses. Duplicate address detection is only for those added later.

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
        """Delete it, with its peer, if it is there."""
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
        # Linux removes the secondary addresses of a subnet with the primary one.
        network = ipaddress.ip_interface(whole).network
        if any(ipaddress.ip_interface(each).network == network for each in self.addresses):
            there = ip("-brief", "address", "show", "dev", self.name).split()
            self.addresses = [each for each in self.addresses if each in there]


def set_sysctl(name: str, value: str) -> str:
    """Set a sysctl(8) name such as net.ipv4.ip_nonlocal_bind; return its earlier value.

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


class Environment:
    """Interfaces with their addresses, other processes' ports, and HAProxy's files.

    Its verbs are those of scenario.yml. Each raises GuestError when it cannot be done.
    """

    def __init__(
        self, interface: str, interfaces: Mapping[str, Sequence[str]], haproxy: HAProxy
    ) -> None:
        self.interface = Interface(interface, interfaces[interface])
        """The one that steps name."""
        self._further = [Interface(*each) for each in interfaces.items() if each[0] != interface]
        self.haproxy = haproxy
        self._undo = contextlib.ExitStack()
        self._strangers: dict[str, socket.socket] = {}
        self._broken: dict[str, bytes] = {}
        self._packets = PacketFilter()
        self._undo.callback(self._packets.end)

    def make(self) -> None:
        """Make the interfaces with their addresses."""
        for interface in (self.interface, *self._further):
            self._undo.callback(interface.delete)
            interface.make()

    def set_sysctl(self, name: str, value: str) -> None:
        """Set a sysctl until the end (`set_sysctl`)."""
        self._undo.callback(set_sysctl, name, set_sysctl(name, value))

    def add(self, what: str) -> None:
        """Add an address such as 192.168.42.43/32, or the interface with what it had."""
        if what == self.interface.name:
            self.interface.make()
        else:
            self._home(what).add(what)

    def remove(self, what: str) -> None:
        if what == self.interface.name:
            self.interface.delete()
        else:
            self._home(what).remove(what)

    def _home(self, address: str) -> Interface:
        """Return the interface that has an address, or had it at the beginning."""
        ip = address.partition("/")[0]
        for interface in self._further:
            if ip in interface.known:
                return interface
        return self.interface

    def occupy(self, what: str) -> None:
        """Listen at ADDRESS:PORT, as another program would."""
        address, _, port = what.rpartition(":")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = ("" if address == "*" else address, int(port))
        listen = f"listener = socket.create_server({place!r}, family={int(family)})"
        transcript.note(
            "python3", "-c", f"import signal, socket; {listen}; signal.pause()", tail="&"
        )
        try:
            self._strangers[what] = socket.create_server(place, family=family)
        except OSError as error:
            raise GuestError(f"{what} cannot be occupied: {error.strerror}") from error

    def free(self, what: str) -> None:
        transcript.note("kill", tail="%%")
        self._strangers.pop(what).close()

    def break_(self, what: str) -> None:
        """Take a file of HAProxy's root away, by its path there."""
        file = place_of(self.haproxy.tree, what)
        transcript.note("mv", str(file), f"{file}.away")
        self._broken[what] = file.read_bytes()
        file.unlink()

    def mend(self, what: str) -> None:
        file = place_of(self.haproxy.tree, what)
        transcript.note("mv", f"{file}.away", str(file))
        file.write_bytes(self._broken.pop(what))

    def drop(self, what: str) -> None:
        """Have all packets from and to an address vanish."""
        self._packets.drop(what)

    def pass_(self, what: str) -> None:
        self._packets.pass_(what)

    def end(self) -> None:
        """Undo what was not undone yet; HAProxy's files go with its root."""
        for stranger in self._strangers.values():
            stranger.close()
        # Leftovers are found before the next cell (`cleanliness.py`).
        with contextlib.suppress(GuestError):
            self._undo.close()
