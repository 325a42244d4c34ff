"""Addresses that HAProxy configurations bind, and how a setting alters a configuration."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
from dataclasses import dataclass

from hatester.matrix.haproxy_config import options, parse
from hatester.matrix.models import Setting
from hatester.util.text import brief, quoted
from provision.guest.connections import NAMED

_PORT = re.compile(r"[0-9]{1,9}")
_UNIX = ("/", "abns@")
_UDP = ("quic4@", "quic6@", "udp4@", "udp6@", "udp@")
_RANGE = re.compile(r"(?:ipv[46]@)?(?P<address>.*):(?P<first>[0-9]{1,5})-(?P<last>[0-9]{1,5})")
_ANY = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Bind:
    """An address as a `bind` line has it (HAProxy's configuration manual, section 4.2).

    A UNIX socket has its path, or `abns@NAME`, for an address, and the port 0.
    """

    address: str
    port: int
    interface: str | None = None
    """The one through which alone it can be reached (the option `interface`)."""
    answer: str = NAMED
    """The answer that counts as one, as `provision/guest/connections.py` has it."""

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
            return self.address, 0
        if self.address in ("", "*"):
            return "0.0.0.0", self.port
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(self.address)), self.port
        return None

    def require_address(self) -> None:
        """Raise ValueError where it is a name, and no address."""
        if not (self.is_unix or self.is_wildcard):
            _require_no_zone(self.address)
            ipaddress.ip_address(self.address)


def interface_address(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Parse an address, with or without a prefix length. Raises ValueError for anything else."""
    _require_no_zone(text)
    return ipaddress.ip_interface(text)


def interfaces(text: str) -> dict[str, str]:
    """Return the interfaces to which binds are restricted, by the binds' labels.

    Anything but an address and a port is left out.
    """
    found = {}
    for texts in _bind_lines(text):
        if interface := dict(options(texts)).get("interface"):
            for each in texts[1].split(","):
                with contextlib.suppress(ValueError):
                    found[parse_bind(each).label] = interface
    return found


def ranges(text: str) -> list[tuple[str, int, int]]:
    """Return the ranges of ports that are bound: the address, the first port, the last one."""
    found = []
    for texts in _bind_lines(text):
        for each in texts[1].split(","):
            if ports := _RANGE.fullmatch(each):
                address = ports["address"].strip("[]")
                anywhere = "0.0.0.0" if address in ("", "*") else address
                found.append((anywhere, int(ports["first"]), int(ports["last"])))
    return found


def datagrams(text: str) -> list[str]:
    """Return the addresses that are bound by UDP, such as QUIC, as they are written."""
    listed = [each for texts in _bind_lines(text) for each in texts[1].split(",")]
    others = _bind_lines(text, "dgram-bind")
    return [*(each for each in listed if each.startswith(_UDP)), *(texts[1] for texts in others)]


def _bind_lines(text: str, keyword: str = "bind") -> list[list[str]]:
    lines = (line.texts for line in parse(text))
    return [texts for texts in lines if texts[:1] == [keyword] and len(texts) > 1]


def _require_no_zone(address: str) -> None:
    """Raise ValueError for a zone (RFC 4007), a name of this host. Python takes any text as one."""
    if "%" in address:
        raise ValueError(f"{quoted(address)} has a zone")


def parse_bind(text: str, interface: str | None = None) -> Bind:
    """Parse an address and its port, as a `bind` line has them, or a UNIX socket as in results.

    Raises ValueError for an address without a port.
    """
    if text.startswith(_UNIX) and len(text) > 1:
        return Bind(text, 0)
    address, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise ValueError(f"bind {brief(text)} has no port")
    address = address.strip("[]")
    # One address can be written in many ways; a name stays what it is.
    with contextlib.suppress(ValueError):
        address = str(ipaddress.ip_address(address))
    return Bind(address, int(port), interface)


@dataclass(frozen=True)
class Configuration:
    """A plain HAProxy configuration, and the name that its answers have.

    `stated` are its binds, if they need not be read from its text.
    """

    name: str
    text: str
    stated: tuple[Bind, ...] | None = None

    @functools.cached_property
    def binds(self) -> tuple[Bind, ...]:
        """Return the binds without TLS, each label once, in the order of the lines.

        Raises ValueError for an address without a port.
        """
        if self.stated is not None:
            return self.stated
        found: dict[str, Bind] = {}
        for texts in _bind_lines(self.text):
            interface = dict(options(texts)).get("interface")
            for each in texts[1].split(","):
                bind = parse_bind(each, interface)
                if "ssl" not in texts:
                    found.setdefault(bind.label, bind)
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
