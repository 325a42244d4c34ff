"""Addresses that HAProxy configurations bind, and how a setting alters a configuration.

The grammar is that of `str2sa_range()` in HAProxy's src/tools.c and of `bind` in its configuration
manual, section 4.2.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pydantic

from hatester.matrix.declarations import Setting
from hatester.matrix.haproxy_config import Line, options, parse
from hatester.matrix.surroundings import environment_variables
from hatester.util.text import brief, quoted
from provision.guest.connections import CONNECT, NAMED, PROXY, PROXY_TLS, TLS, kernel_name

_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?")
_FAMILY = re.compile(r"(?:stream\+)?(?:ipv|tcp|mptcp|ip)(?P<version>[46]?)@")
_UNIX = re.compile(r"(?:stream\+)?(?:unix|uxst)@(?=/)")
_NAMES_OF_UNIX = ("/", "abns@", "abnsz@")
_DATAGRAM = re.compile(r"dgram\+|quic\+|(?:quic|udp)[46]?@|uxdg@")
_INHERITED = ("fd@", "sockpair@", "rev@", "rhttp@")
_ANY = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_MOST_PORT = 65535
_ANSWERS = {
    (False, False): NAMED,
    (True, False): TLS,
    (False, True): PROXY,
    (True, True): PROXY_TLS,
}
"""The answer of a bind, by whether it has `ssl`, and `accept-proxy`."""


@dataclass(frozen=True)
class Bind:
    """An address as a `bind` line has it (HAProxy's configuration manual, section 4.2).

    A UNIX socket has its path, or `abns@NAME` or `abnsz@NAME`, for an address, and the port 0.
    """

    address: str
    port: int
    interface: str | None = None
    """The one through which alone it can be reached (the option `interface`)."""
    answer: str = NAMED
    """The answer that counts as one, as `provision/guest/connections.py` has it."""
    is_transparent: bool = False
    """True if its line lets HAProxy bind an address that is not there (`transparent`)."""

    @property
    def label(self) -> str:
        """Return its name in results, as HAProxy has it: `192.168.42.43:80` or `/run/x.sock`."""
        return f"{self.address}:{self.port}" if self.port else self.address

    @property
    def is_unix(self) -> bool:
        """True if it is a UNIX socket."""
        return not self.port

    @property
    def is_wildcard(self) -> bool:
        """True if it is bound to every address of the guest."""
        return self.address in _ANY

    @property
    def can_be_missing(self) -> bool:
        """True if its address has to be on an interface, from where it can be taken away."""
        if self.is_unix or self.is_wildcard:
            return False
        place = self.place
        return place is None or not ipaddress.ip_address(place[0]).is_loopback

    @property
    def target(self) -> str:
        """Return the address to connect to."""
        return _ANY.get(self.address, self.address)

    @property
    def place(self) -> tuple[str, int] | None:
        """Return the address, as the kernel has it, and the port; None of a host's name."""
        if self.is_unix:
            return kernel_name(self.address), 0
        if self.address in ("", "*"):
            return "0.0.0.0", self.port
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(self.address)), self.port
        return None

    def require_address(self) -> None:
        """Raise ValueError where it is a name, and no address."""
        if self.is_unix or self.is_wildcard:
            return
        if "$" in self.address:
            raise ValueError(f"bind {brief(self.label)}: its variable has no value")
        _require_no_zone(self.address)
        try:
            ipaddress.ip_address(self.address)
        except ValueError as error:
            raise ValueError(
                f"bind {brief(self.label)} has the name of a host instead of an address"
            ) from error


InterfaceAddress = ipaddress.IPv4Interface | ipaddress.IPv6Interface
"""An address with its prefix length."""


def interface_address(text: str) -> InterfaceAddress:
    """Parse an address, with or without a prefix length. Raises ValueError for anything else."""
    _require_no_zone(text)
    return ipaddress.ip_interface(text)


def interfaces(text: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the interfaces to which binds are restricted, by the binds' labels.

    Anything but an address and a port is left out. `env` has the values of variables.
    """
    return {
        bind.label: interface
        for addresses, line in _bind_lines(text, env)
        if (interface := _interface(line))
        for each in addresses
        for bind in _readable(each)
    }


def ranges(text: str, env: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Return the ranges of ports that are bound: the address, the first port, the last one."""
    listed = (each for addresses, _ in _bind_lines(text, env) for each in addresses)
    pairs = (found for each in listed if len(found := _readable(each)) == 2)
    return [(first.place[0], first.port, last.port) for first, last in pairs if first.place]


def datagrams(text: str, env: Mapping[str, str]) -> list[str]:
    """Return the addresses that are bound by UDP, such as QUIC, as they are written."""
    listed = (each for addresses, _ in _bind_lines(text, env) for each in addresses)
    others = _bind_lines(text, env, "dgram-bind")
    return [
        *(each for each in listed if _DATAGRAM.match(each)),
        *(each for addresses, _ in others for each in addresses),
    ]


def stats_socket(text: str) -> str | None:
    """Return the path of the first stats socket in `global`, if there is one."""
    for line in parse(text):
        if line.section == "global" and line.texts[:2] == ["stats", "socket"]:
            path = "".join(line.texts[2:3]).removeprefix("unix@")
            if path.startswith("/"):
                return path
    return None


def _bind_lines(
    text: str, env: Mapping[str, str], keyword: str = "bind"
) -> Iterator[tuple[list[str], Line]]:
    """Yield the lines that bind addresses for clients, each after its addresses as written.

    Peers are other HAProxys, and not clients.
    """
    lines = parse(text)
    values = environment_variables.values_of(lines, env)
    for line in (environment_variables.expand(each, values) for each in lines):
        if line.texts[:1] == [keyword] and len(line.texts) > 1 and line.section != "peers":
            yield line.texts[1].split(","), line


def _interface(line: Line) -> str | None:
    return dict(options(line.texts)).get("interface")


def _answer(line: Line) -> str:
    """Return the answer that counts as one. A log's listener sends none."""
    if line.section == "log-forward":
        return CONNECT
    return _ANSWERS["ssl" in line.texts, "accept-proxy" in line.texts]


def _require_no_zone(address: str) -> None:
    """Raise ValueError for a zone (RFC 4007), a name of this host. Python takes any text as one."""
    if "%" in address:
        raise ValueError(f"{quoted(address)} has a zone")


def parse_bind(text: str) -> Bind:
    """Parse an address and its port, or a UNIX socket. Raises ValueError for anything else."""
    found = parse_binds(text)
    if len(found) != 1:
        raise ValueError(f"{quoted(text)} is not one address that TCP or a UNIX socket has")
    return found[0]


def parse_binds(text: str) -> list[Bind]:
    """Parse one address of a `bind` line.

    Of a range of ports, the first and the last are returned, and of what UDP binds nothing. Raises
    ValueError for an address without a port, and for a socket that HAProxy does not make itself.
    """
    if _DATAGRAM.match(text):
        return []
    if text.startswith(_INHERITED):
        raise ValueError(f"bind {brief(text)}: no other program gives HAProxy a socket here")
    text = _UNIX.sub("", text)
    if text.startswith(_NAMES_OF_UNIX) and not text.endswith("@"):
        return [Bind(text, 0)]
    family = _FAMILY.match(text)
    address, _, ports = text[family.end() if family else 0 :].rpartition(":")
    found = _PORTS.fullmatch(ports)
    first, last = (int(found["first"]), int(found["last"] or found["first"])) if found else (0, 0)
    if not 0 < first <= last <= _MOST_PORT:
        raise ValueError(f"bind {brief(text)} has no port")
    address = _canonical(address.strip("[]"), family["version"] if family else "")
    return [Bind(address, port) for port in dict.fromkeys((first, last))]


def _readable(text: str) -> list[Bind]:
    """Return the binds of an address; none of what cannot be read."""
    with contextlib.suppress(ValueError):
        return parse_binds(text)
    return []


def _canonical(address: str, version: str) -> str:
    """Return an address in one of the many ways to write it; a host's name stays what it is.

    `version` is that of its family: of IPv6, `*` is `::`.
    """
    if version == "6" and address in ("", "*"):
        return "::"
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(address))
    return address


def _place(text: str) -> str:
    parse_bind(text).require_address()
    return text


Place = Annotated[str, pydantic.AfterValidator(_place)]
"""An address and a port, such as 192.168.42.43:80, fd00::1:80 or *:81."""


@dataclass(frozen=True)
class Configuration:
    """A plain HAProxy configuration, and the name that its answers have.

    `stated` are its binds, if they need not be read from its text. `env` has the values of the
    variables that it uses.
    """

    name: str
    text: str
    stated: tuple[Bind, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def binds(self) -> tuple[Bind, ...]:
        """Return the binds, each label once, in the order of the lines.

        Raises ValueError for an address without a port, and for the name of a host.
        """
        if self.stated is not None:
            return self.stated
        found: dict[str, Bind] = {}
        for addresses, line in _bind_lines(self.text, self.env):
            interface, answer = _interface(line), _answer(line)
            is_transparent = "transparent" in line.texts
            for bind in (bind for each in addresses for bind in parse_binds(each)):
                bind.require_address()
                whole = Bind(bind.address, bind.port, interface, answer, is_transparent)
                found.setdefault(bind.label, whole)
        return tuple(found.values())

    def under(self, setting: Setting) -> str:
        """Return the text with a setting's lines in `global` and its options on every `bind`."""
        bind = "".join(f" {option}" for option in setting.bind)
        further = [f"    {line}" for line in setting.global_lines]
        has_global, altered = False, []
        for line in parse(self.text):
            is_bind = line.texts[:1] == ["bind"] and len(line.words) > 1
            end = line.words[-1].end if is_bind else 0
            altered.append(line.source[:end] + bind + line.source[end:] if is_bind else line.source)
            if line.texts[:1] == ["global"] and not has_global:
                has_global = True
                altered += further
        before = [] if has_global or not further else ["global", *further, ""]
        return "\n".join([*before, *altered])
