"""The survey of a configuration: the addresses that HAProxy binds, its servers, and its answers.

HAProxy is first started with every address allowed to it (net.ipv4.ip_nonlocal_bind, and IPv6's),
so that the kernel shows where it listens. It is then started with its addresses and its servers
there, and each address is asked.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provision.guest import environment, kernel
from provision.guest.clock import Clock
from provision.guest.connections import (
    ANY,
    CLOSE,
    CONNECT,
    PROXY,
    PROXY_TLS,
    TLS,
    Target,
    connect,
    exchange,
)
from provision.guest.environment import Interface
from provision.guest.errors import GuestError
from provision.guest.haproxy import HAProxy, Place, first_alert
from provision.guest.mock_servers import MockServers
from provision.guest.plan import Destination, Question
from provision.guest.protocol import Answer
from provision.guest.runtime_api import RuntimeAPI, ask

_SYSCTLS = ("net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind")
_SOCKET = "run/hatester-stats.sock"
_ASKING = f"""
global
    stats socket /{_SOCKET} mode 600 level admin
"""
_SECONDS = 120.0
"""In the guest's time, which runs ahead while the host reads a disk."""
_QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.05
_CONNECTION_SECONDS = 2.0
_FALL_SECONDS = 90.0
"""At most, until a server is down whose checks fail: it is as long as its configuration has it."""
_ASKED = 3
_AT_ONCE = 16
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_PORTS = 65536
Range = tuple[str, int, int]
"""Ports at an address that are bound together: the first and the last."""
_ALERT = b"\x15\x03"  # RFC 8446, section 5.1


def run(question: Question) -> Answer:
    """Survey a configuration.

    Raises GuestError when HAProxy does not start, with its first alert.
    """
    survey = _Survey(question)
    with contextlib.ExitStack() as undo:
        survey.prepare(undo)
        with survey.started() as runtime:
            places, servers = survey.places(runtime), runtime.servers()
        survey.surround(undo, places, others(servers, places, question.shifted))
        with survey.started() as runtime:
            binds = survey.ask(places)
            if failing := runtime.wait_for_checks(_SECONDS):
                runtime.wait_until_down(failing, _FALL_SECONDS)
                later = survey.ask(places)
                binds = {b: a if later[b] == a else CONNECT for b, a in binds.items()}
        return Answer(binds, tuple(survey.servers), tuple(failing), tuple(survey.made))


class _Survey:
    """HAProxy with a configuration, and what is around it."""

    def __init__(self, question: Question) -> None:
        self._question = question
        peer = ["-L", question.peer] if question.peer else []
        self._haproxy = HAProxy(Path(question.tree), ["-db", *peer])
        self.servers: list[str] = list(question.servers)
        self.made: list[str] = []
        self._played: MockServers | None = None
        self._interfaces: dict[str, Interface] = {}

    def prepare(self, undo: contextlib.ExitStack) -> None:
        """Lay out the root, and allow every address."""
        undo.callback(self._haproxy.stop)
        self.made = self._haproxy.prepare(self._question.root)
        self._haproxy.configure(self._question.text)
        self._haproxy.file("hatester.cfg").write_text(_ASKING)
        for name in _SYSCTLS:
            undo.callback(environment.set_sysctl, name, environment.set_sysctl(name, "1"))
        for name, addresses in {"dummy0": [], **self._question.interfaces}.items():
            self._interfaces[name] = interface = Interface(name, addresses)
            undo.callback(interface.delete)
            interface.make()
        self._play(undo, [])

    def surround(
        self, undo: contextlib.ExitStack, places: Iterable[Place], servers: Iterable[str]
    ) -> None:
        """Have the addresses there that HAProxy binds, and the servers that it talks to."""
        own = {p[0]: self._through(p) for p in places if p[1] and _is_own(p[0])}
        for address, interface in own.items():
            self._interfaces[interface].add(_whole(address))
        names = {name for name, _ in places}
        self.servers = [e for e in dict.fromkeys((*self.servers, *servers)) if e not in names]
        if self._played:
            self._played.end()
        self._play(undo, [each for i in self._interfaces.values() for each in i.addresses])

    def _through(self, place: Place) -> str:
        """Return the interface that has an address, by the one that its bind is restricted to."""
        name = self._question.through.get(_label(place))
        return name if name in self._interfaces else "dummy0"

    def _play(self, undo: contextlib.ExitStack, own: Iterable[str]) -> None:
        self._played = MockServers(self.servers, own, self._question.answers)
        undo.callback(self._played.end)
        self._played.start(self._haproxy.tree)

    @contextlib.contextmanager
    def started(self) -> Iterator[RuntimeAPI]:
        """Run HAProxy with its configuration, and a socket at which it can be asked."""
        haproxy = self._haproxy
        process = haproxy.launch("-f", "/etc/haproxy/hatester.cfg", "-W")
        path = haproxy.tree / _SOCKET
        runtime = RuntimeAPI(lambda command: ask(path, command, _SECONDS), Clock(0.0))
        try:
            deadline = time.monotonic() + _SECONDS
            seen: set[Place] = set()
            since = time.monotonic()
            while not runtime.is_there() or time.monotonic() - since < _QUIET_SECONDS:
                if process.poll() is not None:
                    raise GuestError(f"HAProxy does not start with it: {first_alert()}")
                if time.monotonic() > deadline:
                    raise GuestError(f"HAProxy was not up within {_SECONDS:.0f} s: {first_alert()}")
                if (now := self._listening_places()) != seen:
                    seen, since = now, time.monotonic()
                time.sleep(_POLL_SECONDS)
            yield runtime
        finally:
            process.terminate()
            process.wait(_SECONDS)

    def places(self, runtime: RuntimeAPI) -> list[Place]:
        """Return where HAProxy listens for clients."""
        cli = runtime.cli_sockets() | {(f"/{_SOCKET}", 0)}
        return without_inner(self._listening_places() - cli, self._question.ranges)

    def _listening_places(self) -> set[Place]:
        """Return each socket at which HAProxy's processes listen (proc_pid_fd(5))."""
        own = kernel.holders(self._haproxy.processes())
        found = [(address, port, inode) for address, port, inode in kernel.listening_sockets()]
        found += [(name, 0, inode) for name, inode in kernel.unix_sockets()]
        return {(name, port) for name, port, inode in found if inode in own}

    def ask(self, places: list[Place]) -> dict[str, str | None]:
        """Return how each place answers, by its label; so many are asked at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(self._answer, places)
        return dict(zip(map(_label, places), answers))

    def _answer(self, place: Place) -> str | None:
        return kind_of_answer(
            is_tls=_is_tls(self._target(place, ANY)),
            is_ok=lambda answer: _is_ok(self._target(place, answer)),
        )

    def _target(self, place: Place, answer: str) -> Target:
        address, port = place
        label = _label(place)
        interface = self._question.through.get(label)
        if address in _ANYWHERE:
            there = self._question.interfaces.get(interface or "") or [_ANYWHERE[address]]
            address = there[0].partition("/")[0]
        where = Destination(label, address, port, interface, answer)
        return self._haproxy.target(where, self._question.site)


def without_inner(places: Iterable[Place], ranges: Iterable[Range]) -> list[Place]:
    """Return places in order; of ports that are bound together only the first and the last."""
    inner = {(address, port) for address, first, last in ranges for port in range(first + 1, last)}
    return sorted({*places} - inner)


def others(
    servers: Iterable[str], places: Iterable[Place], shifted: Iterable[tuple[str, int]]
) -> list[str]:
    """Return the servers that are not HAProxy itself, and those at ports shifted by some number."""
    ports = {port for _, port in places if port}
    found = [each for each in servers if not _is_own_port(each, ports)]
    return found + [
        f"{address}:{port + shift}"
        for address, shift in shifted
        for port in sorted(ports)
        if 0 < port + shift < _PORTS
    ]


def kind_of_answer(is_tls: bool, is_ok: Callable[[str], bool]) -> str | None:
    """Return the most specific kind of answer that is given whenever it is asked.

    `is_ok` asks once.
    """
    ways = [TLS, PROXY_TLS, PROXY] if is_tls else [ANY, TLS, PROXY, PROXY_TLS]
    for answer in (*ways, CLOSE, CONNECT):
        if all(is_ok(answer) for _ in range(_ASKED)):
            return answer
    return None


def _is_ok(target: Target) -> bool:
    return bool(connect(target, _CONNECTION_SECONDS)["outcome"] == "ok")


def _is_tls(target: Target) -> bool:
    """Return whether an HTTP request is answered by an alert of TLS."""
    try:
        return exchange(target, time.monotonic() + _CONNECTION_SECONDS).startswith(_ALERT)
    except OSError:
        return False


def _is_own_port(server: str, ports: set[int]) -> bool:
    """Return whether a server is HAProxy itself on its own host."""
    host, _, port = server.rpartition(":")
    is_here = not server.startswith("/") and host != "*" and ipaddress.ip_address(host).is_loopback
    return is_here and int(port) in ports


def _label(place: Place) -> str:
    address, port = place
    if not port:
        return address
    return f"{'*' if address == '0.0.0.0' else address}:{port}"


def _is_own(address: str) -> bool:
    """Return whether an address has to be on an interface: not a wildcard, not the loopback's."""
    return address not in _ANYWHERE and not ipaddress.ip_address(address).is_loopback


def _whole(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
