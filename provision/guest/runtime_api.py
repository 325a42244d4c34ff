"""HAProxy's runtime API (management guide, section 9.3): its servers and its own sockets."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path

from provision.guest.clock import Clock
from provision.guest.errors import GuestError

_POLL_SECONDS = 0.1
_UNKNOWN, _FAILED = "0", "2"
"""Results of checks (enum chk_result of include/haproxy/check-t.h); a server that is not checked
has the one of an unknown."""
_DOWN = "0"  # SRV_ST_STOPPED of include/haproxy/server-t.h
_PORTS = 65536
_CONFIGURED = 2
"""The bit of a server's check state that says that it is checked (CHK_ST_CONFIGURED)."""
CLI_RESULT = re.compile(r"^Success=(?P<is_success>[01])", re.MULTILINE)
"""The line of the master CLI's answer that has the result of a reload."""


def send(path: Path, command: str, seconds: float) -> socket.socket:
    """Return a connection to a CLI socket over which a command was sent.

    It takes `seconds` at most, as does each of its answers. Raises GuestError.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
    except OSError as error:
        connection.close()
        raise GuestError(f"HAProxy cannot be asked to {command}: {error}") from error
    return connection


def ask(path: Path, command: str, seconds: float) -> str:
    """Return the answer to a command, until HAProxy ends the connection. Raises GuestError."""
    answer = b""
    with send(path, command, seconds) as connection:
        try:
            # The master CLI waits for further commands.
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError as error:
            raise GuestError(f"HAProxy does not answer to {command}: {error}") from error
    return answer.decode(errors="replace")


class RuntimeAPI:
    """HAProxy, asked by commands; `ask` returns the answer to one (`ask`)."""

    def __init__(self, ask: Callable[[str], str], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock

    def is_there(self) -> bool:
        """Return whether it answers."""
        with contextlib.suppress(GuestError):
            self._ask("show info")
            return True
        return False

    def _servers(self) -> list[dict[str, str]]:
        lines = self._ask("show servers state").strip().splitlines()[1:]
        if not lines:
            return []
        names = lines[0].lstrip("# ").split()
        return [dict(zip(names, line.split())) for line in lines[1:]]

    def servers(self) -> list[str]:
        """Return where its servers, and their checks and agents, are: `10.0.0.5:8080`.

        One whose address is not known yet is at `*`.
        """
        found = []
        for server in self._servers():
            pairs = [
                (server["srv_addr"], server.get("srv_port", "0")),
                (server.get("srv_check_addr", "-"), server.get("srv_check_port", "0")),
                (server.get("srv_agent_addr", "-"), server.get("srv_agent_port", "0")),
            ]
            for address, port in pairs:
                where = _address(address) or _address(server["srv_addr"])
                if port.isdigit() and 0 < int(port) < _PORTS:
                    found.append(f"{where or '*'}:{port}")
        return list(dict.fromkeys(found))

    def wait_for_checks(self, seconds: float) -> list[str]:
        """Wait until every server that is checked has been; return those that failed."""
        deadline = self._clock.now() + seconds
        while self._clock.now() < deadline:
            checked = [each for each in self._servers() if _is_checked(each)]
            if all(each["srv_check_result"] != _UNKNOWN for each in checked):
                break
            self._clock.sleep_until(self._clock.now() + _POLL_SECONDS)
        return [_name(each) for each in checked if each["srv_check_result"] in (_UNKNOWN, _FAILED)]

    def wait_until_down(self, names: list[str], seconds: float) -> None:
        """Wait until servers are down, or for so long."""
        deadline = self._clock.now() + seconds
        while self._clock.now() < deadline:
            up = {_name(each) for each in self._servers() if each["srv_op_state"] != _DOWN}
            if not up.intersection(names):
                return
            self._clock.sleep_until(self._clock.now() + _POLL_SECONDS)

    def cli_sockets(self) -> set[tuple[str, int]]:
        """Return the addresses of its stats sockets: a path and 0, or an address and a port."""
        found = set()
        for line in self._ask("show cli sockets").splitlines()[1:]:
            name = line.split(" ")[0].rpartition("@")[2]
            if name.startswith("/"):
                found.add((name, 0))
            elif ":" in name:
                address, _, port = name.rpartition(":")
                if port.isdigit():
                    found.add((address.strip("[]"), int(port)))
        return found


def _name(server: dict[str, str]) -> str:
    return f"{server['be_name']}/{server['srv_name']}"


def _is_checked(server: dict[str, str]) -> bool:
    return bool(int(server["srv_check_state"]) & _CONFIGURED) and server["srv_admin_state"] == "0"


def _address(text: str) -> str | None:
    """Return an address that leads somewhere."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(text)
        return None if address.is_unspecified else str(address)
    return None
