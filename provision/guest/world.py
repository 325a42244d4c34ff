"""What a scenario changes around HAProxy: addresses, ports that others take, files."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from provision.guest import transcript
from provision.guest.errors import GuestError
from provision.guest.haproxy import HAProxy
from provision.guest.network import Interface


class World:
    """Interfaces with their addresses, other processes' ports, and HAProxy's files.

    Its verbs are those of scenario.yml. Each raises GuestError when it cannot be done.
    """

    def __init__(
        self, interface: str, interfaces: Mapping[str, list[str]], haproxy: HAProxy
    ) -> None:
        self.interface = Interface(interface, interfaces[interface])
        """The one that steps can name."""
        self._further = [Interface(*each) for each in interfaces.items() if each[0] != interface]
        self.haproxy = haproxy
        self._strangers: dict[str, socket.socket] = {}
        self._broken: dict[str, bytes] = {}

    def make(self) -> None:
        """Make the interfaces with their addresses."""
        for interface in (self.interface, *self._further):
            interface.make()

    def add(self, what: str) -> None:
        """An address such as 192.168.42.43/32, or the interface with what it had."""
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
        """Take a file of /etc/haproxy away."""
        file = self.haproxy.file(what)
        transcript.note("mv", str(file), f"{file}.away")
        self._broken[what] = file.read_bytes()
        file.unlink()

    def mend(self, what: str) -> None:
        file = self.haproxy.file(what)
        transcript.note("mv", f"{file}.away", str(file))
        file.write_bytes(self._broken.pop(what))

    def end(self) -> None:
        """Take back what was not taken back yet; HAProxy's files go with HAProxy."""
        for stranger in self._strangers.values():
            stranger.close()
        for interface in (self.interface, *self._further):
            with contextlib.suppress(GuestError):
                interface.delete()
