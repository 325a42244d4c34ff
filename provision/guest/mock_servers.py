"""The servers that a configuration talks to, played by one process in a network of its own.

That network is a namespace, reached by a pair of virtual interfaces, so that HAProxy never meets
itself and no port is taken. There, every address belongs to the servers; here, only what is a
server's is routed there. Servers on HAProxy's own host are played here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import signal
import socket
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from provision.guest import kernel, transcript
from provision.guest.environment import ip
from provision.guest.errors import GuestError
from provision.guest.haproxy_root import place_of
from provision.guest.kernel import pids
from provision.guest.mock_replies import Talk, resolve
from provision.guest.plan import PlannedStep, ServerAnswers

_NAMED = "198.18.0.0/15"
"""The addresses of names (`mock_replies.py`) and of the resolver."""
_ALWAYS = (53, 80, 443)
"""Ports that may be used without being declared: of names and services."""
_CLONE_NEWNET = 0x40000000  # unshare(2)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_IP_PKTINFO, _IP_FREEBIND, _IP_TRANSPARENT = 8, 15, 19  # include/uapi/linux/in.h
_IPV6_TRANSPARENT = 75  # include/uapi/linux/in6.h
_ANCILLARY_BYTES = 256
_BACKLOG = 1024
_BYTES = 65536
Place = tuple[str, int]
"""An address, or nothing for any, and a port."""
_LINK, _PEER = "servers0", "servers1"
_NEAR = ("198.19.254.1/30", "fd00:198:19:254::1/64")
_FAR = ("198.19.254.2/30", "fd00:198:19:254::2/64")
_TABLE = "100"


class MockServers:
    """Servers at addresses such as 10.0.0.5:8080, a port of any address (`*:8080`), or a path.

    `own` are the addresses of HAProxy's host; `answers` has the servers' replies. Those that are
    `stopped` at times have sockets of their own.
    """

    def __init__(
        self,
        servers: Iterable[str],
        own: Iterable[str],
        answers: ServerAnswers,
        stopped: Iterable[str] = (),
    ) -> None:
        self.servers = list(servers)
        self._stopped = {*stopped}
        self._own = {ipaddress.ip_interface(each).ip for each in own}
        self._answers = answers
        self._pid: int | None = None
        self._said: TextIO | None = None
        self._commands: TextIO | None = None

    def start(self, root: Path) -> None:
        """Serve; UNIX sockets are in `root`.

        Raises GuestError when an address cannot be had, or the network cannot be made.
        """
        if not self.servers:
            return
        near, far = self._places()
        addresses = {address for address, _ in far if address}
        listeners = [each for place in near for each in _listen(*place)]
        listeners += [_listen_unix(root, each) for each in self.servers if each.startswith("/")]
        ready, ours = os.pipe()
        heard, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(ready)
            os.close(theirs)
            _play(listeners, addresses, self._far_sockets(far), self._answers, ours, heard)
        os.close(ours)
        os.close(heard)
        for listener in listeners:
            listener.close()
        self._said, self._commands = os.fdopen(ready), os.fdopen(theirs, "w")
        self._require("ready")
        _make_network(self._pid, addresses)
        self._send("made", "serving")

    def command(self, verb: str, server: str) -> None:
        """Have a server `stop`, so that its port and its connections are closed, or `start`."""
        transcript.note(f"# {verb} the server {server}")
        self._send(f"{verb} {server}", "done")

    def _send(self, line: str, answer: str) -> None:
        assert self._commands is not None
        print(line, file=self._commands, flush=True)
        self._require(answer)

    def _require(self, word: str) -> None:
        assert self._said is not None
        said = self._said.readline().strip()
        if said != word:
            raise GuestError(f"the servers cannot be played: {said or 'their process ended'}")

    def _places(self) -> tuple[list[Place], list[Place]]:
        """Return the places to play on HAProxy's host, and those in the other network."""
        near: list[Place] = []
        far = [("", port) for port in _ALWAYS]
        for server in self.servers:
            if server.startswith("/"):
                continue
            host, port = _place(server)
            address = ipaddress.ip_address(host) if host else None
            is_near = address and (address.is_loopback or address in self._own)
            (near if is_near else far).append((host, port))
        return near, far

    def _far_sockets(self, far: Iterable[Place]) -> set[Place]:
        """Return the places of sockets in the other network, most of which are for any address.

        Where a server stops at times, nobody else may answer at its port in its place.
        """
        special = {_place(each)[1] for each in self._stopped if not each.startswith(("/", "*"))}
        sockets = {(host if port in special else "", port) for host, port in far}
        return {(host, port) for host, port in sockets if host or port not in special}

    def end(self) -> None:
        """End the process; the network goes with it."""
        for file in (self._said, self._commands):
            if file:
                file.close()
        if self._pid is not None and self._pid in pids():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if (Path("/sys/class/net") / _LINK).exists():
            with contextlib.suppress(GuestError):
                ip("link", "delete", _LINK)


def _place(server: str) -> Place:
    """Return the address, or nothing for any, and the port of a server."""
    host, _, port = server.rpartition(":")
    return "" if host == "*" else host.strip("[]"), int(port)


def stopped_servers(steps: Iterable[PlannedStep]) -> set[str]:
    """Return the servers that steps stop."""
    return {step.what or "" for step in steps if step.verb == "stop-server"}


def _make_network(pid: int, addresses: Iterable[str]) -> None:
    """Connect this network to the namespace of a process, and route its addresses there."""
    lines = [f"link add {_LINK} type veth peer name {_PEER} netns {pid}"]
    lines += [f"address add {each} dev {_LINK}{_nodad(each)}" for each in _NEAR]
    lines.append(f"link set {_LINK} up")
    ways = {4: _FAR[0].partition("/")[0], 6: _FAR[1].partition("/")[0]}
    for address in sorted({_NAMED, *addresses}):
        ways_to = ways[ipaddress.ip_network(address).version]
        lines.append(f"route replace {address} via {ways_to} dev {_LINK} onlink")
    ip("-batch", "-", commands="\n".join(lines))


def _nodad(address: str) -> str:
    return " nodad" if ":" in address else ""


def _join_network(addresses: Iterable[str]) -> None:
    """Set up the namespace: every address is local, and answers go back.

    The servers' own are so in the table `local` as well: without that, the kernel does not refuse a
    connection to a port where nobody listens (__ip_dev_find() of net/ipv4/devinet.c).
    """
    lines = ["link set lo up", f"link set {_PEER} up"]
    lines += [f"address add {each} dev {_PEER}{_nodad(each)}" for each in _FAR]
    lines += [
        f"rule add iif {_PEER} lookup {_TABLE}",
        f"route add local 0.0.0.0/0 dev lo table {_TABLE}",
        f"route add default via {_NEAR[0].partition('/')[0]}",
        *(f"route add local {address} dev lo" for address in addresses if ":" not in address),
    ]
    ip("-batch", "-", commands="\n".join(lines))
    ip(
        "-6", "-batch", "-",
        commands=f"rule add iif {_PEER} lookup {_TABLE}\n"
        f"route add local ::/0 dev lo table {_TABLE}\n"
        f"route add default via {_NEAR[1].partition('/')[0]}",
    )  # fmt: skip


def _listen(address: str, port: int) -> list[socket.socket]:
    """Return sockets at an address of HAProxy's host, whether it is there now or not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        try:
            listener.bind((address, port))
            if kind == socket.SOCK_STREAM:
                listener.listen(_BACKLOG)
        except OSError as error:
            raise GuestError(f"{address}:{port} cannot be served: {error.strerror}") from error
        found.append(listener)
    return found


def _listen_unix(root: Path, path: str) -> socket.socket:
    file = place_of(root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    file.unlink(missing_ok=True)
    listener.bind(str(file))
    file.chmod(0o777)
    listener.listen(_BACKLOG)
    return listener


def _listen_far(place: Place, kind: int, family: int) -> socket.socket:
    """Return a socket that accepts connections to an address, or to any, local or not."""
    listener = socket.socket(family, kind)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
    if kind == socket.SOCK_STREAM:
        listener.listen(_BACKLOG)
    return listener


def _families(address: str) -> tuple[int, ...]:
    if not address:
        return (socket.AF_INET, socket.AF_INET6)
    return (socket.AF_INET6 if ":" in address else socket.AF_INET,)


def _play(
    listeners: list[socket.socket],
    addresses: Iterable[str],
    places: Iterable[Place],
    answers: ServerAnswers,
    said: int,
    heard: int,
) -> None:
    """Serve until this process is killed; errors are written to its parent."""
    try:
        kernel.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.call("unshare", _CLONE_NEWNET)
        os.write(said, b"ready\n")
        if not os.read(heard, 16):
            return
        _join_network(addresses)
        listeners += [
            _listen_far(place, kind, family)
            for place in sorted(places)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
            for family in _families(place[0])
        ]
        stage = _Stage(listeners, answers, said, heard)
        os.write(said, b"serving\n")
        stage.serve()
    except BaseException as error:
        os.write(said, f"{error}\n".encode())
    finally:
        os._exit(0)


class _Stage:
    """All sockets of the servers, their connections, and the commands for them.

    `said` and `heard` are the files of the pipes to and from the guest's sequence.
    """

    def __init__(
        self, listeners: list[socket.socket], answers: ServerAnswers, said: int, heard: int
    ) -> None:
        self._answers = answers
        self._said, self._heard = said, heard
        self._context = tls_context(answers.certificate) if answers.certificate else None
        self._epoll = select.epoll()
        self._sockets = {listener.fileno(): listener for listener in listeners}
        self._talks: dict[int, Talk] = {}
        for file in (*self._sockets, heard):
            self._epoll.register(file, select.EPOLLIN)

    def serve(self) -> None:
        while True:
            for file, _ in self._epoll.poll():
                with contextlib.suppress(OSError):
                    self._go_on(file)

    def _go_on(self, file: int) -> None:
        if file == self._heard:
            self._obey()
        elif file in self._talks:
            self._hear(file)
        elif self._sockets[file].type == socket.SOCK_DGRAM:
            self._resolve(self._sockets[file])
        else:
            self._accept(self._sockets[file])

    def _obey(self) -> None:
        """Stop or start a server."""
        command = os.read(self._heard, _BYTES).decode()
        if not command:
            self._epoll.unregister(self._heard)
            return
        verb, server = command.split()
        for listener in [each for each in self._sockets.values() if _is_of(each, server)]:
            if verb == "start":
                listener.listen(_BACKLOG)
                self._epoll.register(listener, select.EPOLLIN)
            elif listener.fileno() in self._talks:
                self._close(listener.fileno())
            else:
                # It leaves LISTEN, and keeps its place (inet_shutdown of net/ipv4/af_inet.c).
                self._epoll.unregister(listener)
                listener.shutdown(socket.SHUT_RDWR)
        os.write(self._said, b"done\n")

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        file = connection.fileno()
        place = listener.getsockname()
        talk = Talk(self._answers, place[1] if isinstance(place, tuple) else 0, self._context)
        self._sockets[file], self._talks[file] = connection, talk
        self._epoll.register(file, select.EPOLLIN)
        self._say(file, talk.begin())

    def _hear(self, file: int) -> None:
        try:
            data = self._sockets[file].recv(_BYTES)
        except OSError:
            data = b""
        if data:
            self._say(file, self._talks[file].hear(data))
        else:
            self._close(file)

    def _say(self, file: int, text: bytes) -> None:
        try:
            if text:
                self._sockets[file].sendall(text)
        finally:
            if self._talks[file].is_over:
                self._close(file)

    def _close(self, file: int) -> None:
        self._epoll.unregister(file)
        del self._talks[file]
        self._sockets.pop(file).close()

    @staticmethod
    def _resolve(sock: socket.socket) -> None:
        """Answer a name server's client from the address that it has asked (ip(7), IP_PKTINFO)."""
        query, packet, _, client = sock.recvmsg(_BYTES, _ANCILLARY_BYTES)
        if response := resolve(query):
            sock.sendmsg([response], packet, 0, client)


def tls_context(certificate: str) -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate and its key, as PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _is_of(sock: socket.socket, server: str) -> bool:
    """Return whether a TCP socket is a listener or a connection of a server."""
    if sock.type != socket.SOCK_STREAM or sock.family == socket.AF_UNIX:
        return False
    host, port = _place(server)
    own = sock.getsockname()
    return own[1] == port and (not host or own[0] == host)
