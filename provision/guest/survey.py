"""What a configuration binds, talks to, and answers: asked of HAProxy itself, in a guest.

It is started with every address allowed to it (net.ipv4.ip_nonlocal_bind, and IPv6's), so that the
kernel tells what it listens at; then once more with its addresses and its servers there, and each
address is asked.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provision.guest import network
from provision.guest.answers import ANY, CLOSE
from provision.guest.backends import Backends
from provision.guest.connections import Target, connect
from provision.guest.errors import GuestError
from provision.guest.haproxy import HAProxy, last_lines
from provision.guest.network import Interface

_SYSCTLS = ("net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind")
_STATS = "run/hatester-stats.sock"
_ASKING = f"""
global
    stats socket /{_STATS} mode 600 level admin
"""
_SECONDS = 30.0
_QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.05
_CONNECTION_SECONDS = 2.0
_ASKED = 3
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Survey a configuration: `tree`, `files` of /etc/haproxy and `elsewhere`, and its `text`.

    Returns `binds`, for each address and port how it answers (one of `answers.py`'s, or None where
    what it does cannot be told from a failure), and `servers`, those that it talks to. Raises
    GuestError when HAProxy does not start, with its last words.
    """
    haproxy = HAProxy(Path(plan["tree"]), ["-db"])
    with contextlib.ExitStack() as undo:
        undo.callback(haproxy.stop)
        haproxy.prepare(plan["files"], plan["elsewhere"])
        haproxy.configure(plan["text"])
        haproxy.file("hatester.cfg").write_text(_ASKING)
        for name in _SYSCTLS:
            undo.callback(network.set_sysctl, name, network.set_sysctl(name, "1"))
        with _started(haproxy):
            sockets, servers = _sockets(haproxy), _servers(haproxy)
        ports = {port for _, port in sockets}
        outside = [each for each in servers if int(each.rpartition(":")[2]) not in ports]
        backends = Backends(outside)
        undo.callback(backends.end)
        backends.start()
        interface = Interface("dummy0", sorted({_whole(a) for a, _ in sockets if _is_own(a)}))
        undo.callback(interface.delete)
        interface.make()
        with _started(haproxy):
            binds = {_label(a, port): _answer(a, port) for a, port in sorted(sockets)}
        return {"binds": binds, "servers": outside}


@contextlib.contextmanager
def _started(haproxy: HAProxy) -> Iterator[None]:
    """HAProxy with its configuration and a socket at which it can be asked, listening."""
    process = haproxy.launch("-f", "/etc/haproxy/hatester.cfg", "-W")
    try:
        deadline = time.monotonic() + _SECONDS
        seen: set[tuple[str, int]] = set()
        since = time.monotonic()
        while not seen or time.monotonic() - since < _QUIET_SECONDS:
            if process.poll() is not None:
                raise GuestError(
                    f"HAProxy ended with status {process.returncode} at its start: {last_lines()}"
                )
            if time.monotonic() > deadline:
                raise GuestError(f"HAProxy did not listen within {_SECONDS:.0f} s: {last_lines()}")
            now = _sockets(haproxy)
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _sockets(haproxy: HAProxy) -> set[tuple[str, int]]:
    """Address and port of each TCP socket at which HAProxy's processes listen (proc_pid_fd(5))."""
    own = set()
    for pid in haproxy.processes():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it was closed in between
                own.add(os.readlink(link))  # noqa: PTH115
    return {
        (address, port)
        for address, port, inode in network.listening_sockets()
        if f"socket:[{inode}]" in own
    }


def _servers(haproxy: HAProxy) -> list[str]:
    """The addresses of its servers (`show servers state`, management guide, section 9.3)."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(haproxy.tree / _STATS))
            connection.sendall(b"show servers state\n")
            while chunk := connection.recv(65536):
                answer += chunk
    except OSError as error:
        raise GuestError(f"HAProxy cannot be asked for its servers: {error}") from error
    _, heading, *lines = answer.decode().strip().splitlines()
    names = heading.lstrip("# ").split()
    found = []
    for line in lines:
        server = dict(zip(names, line.split()))
        with contextlib.suppress(ValueError, KeyError):  # one without an address, or a port
            address = ipaddress.ip_address(server["srv_addr"])
            if int(server["srv_port"]) and not address.is_unspecified:
                found.append(f"{address}:{server['srv_port']}")
    return list(dict.fromkeys(found))


def _answer(address: str, port: int) -> str | None:
    """What an address does whenever it is asked, if that is an answer."""
    target = Target("", _ANYWHERE.get(address, address), port, None, ANY)
    outcomes = {connect(target, _CONNECTION_SECONDS)["outcome"] for _ in range(_ASKED)}
    if outcomes == {"ok"}:
        return ANY
    return CLOSE if outcomes == {"empty"} else None


def _label(address: str, port: int) -> str:
    return f"{'*' if address == '0.0.0.0' else address}:{port}"


def _is_own(address: str) -> bool:
    """Whether it has to be on an interface: it is neither everywhere nor of the loopback."""
    return address not in _ANYWHERE and not ipaddress.ip_address(address).is_loopback


def _whole(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
