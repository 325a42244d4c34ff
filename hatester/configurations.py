"""HAProxy configurations: which addresses they bind, and how a setting alters them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass

from hatester.matrix import Setting
from hatester.words import brief, quoted
from provision.guest.answers import NAMED

_BIND = re.compile(
    r"^[ \t]*bind[ \t]+(?P<addresses>[^ \t\n#]+)(?P<options>(?:[ \t]+[^ \t\n#]+)*)",
    re.MULTILINE,
)
_INTERFACE = re.compile(r"[ \t]interface[ \t]+(\S+)")
_PORT = re.compile(r"[0-9]{1,9}")
_GLOBAL = re.compile(r"^global[ \t]*(?:#.*)?$", re.MULTILINE)
_ANY = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Bind:
    """An address as a `bind` line has it (HAProxy's configuration manual, section 4.2)."""

    address: str
    port: int
    interface: str | None = None
    """The one through which alone it can be reached (the option `interface`)."""
    answer: str = NAMED
    """How it is known that it answers, as `provision/guest/answers.py` has it."""

    @property
    def label(self) -> str:
        """How results name it: as HAProxy does, `192.168.42.43:80` or `*:81`."""
        return f"{self.address}:{self.port}"

    @property
    def is_wildcard(self) -> bool:
        """Whether it is bound to every address of the guest, so that none can be missing."""
        return self.address in _ANY

    @property
    def target(self) -> str:
        """The address to connect to."""
        return _ANY.get(self.address, self.address)

    def require_address(self) -> None:
        """Raise ValueError where it is a name, and no address."""
        if not self.is_wildcard:
            _require_no_zone(self.address)
            ipaddress.ip_address(self.address)


def interface_address(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """An address, with its prefix length or without. Raises ValueError for what is none."""
    _require_no_zone(text)
    return ipaddress.ip_interface(text)


def _require_no_zone(address: str) -> None:
    """A zone (RFC 4007) is a name of this host's alone; to Python, it may be any text."""
    if "%" in address:
        raise ValueError(f"{quoted(address)} has a zone")


def parse_bind(text: str, interface: str | None = None) -> Bind:
    """An address and its port, as a `bind` line has them. Raises ValueError without a port."""
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
    """A plain HAProxy configuration, and the name by which its answers are told from others'.

    `stated` is what it binds, where that need not be read in its text.
    """

    name: str
    text: str
    stated: tuple[Bind, ...] | None = None

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What it binds without TLS, each label once, in the order of its lines.

        Raises ValueError for an address without a port.
        """
        if self.stated is not None:
            return self.stated
        found: dict[str, Bind] = {}
        for match in _BIND.finditer(self.text):
            interface = _INTERFACE.search(match["options"])
            for each in match["addresses"].split(","):
                bind = parse_bind(each, interface[1] if interface else None)
                if "ssl" not in match["options"].split():
                    found.setdefault(bind.label, bind)
        return tuple(found.values())

    def under(self, setting: Setting) -> str:
        """The text with the setting's lines in `global` and its options on every `bind`."""
        text = self.text
        if setting.global_lines:
            lines = "".join(f"\n    {line}" for line in setting.global_lines)
            text, sections = _GLOBAL.subn(lambda found: found[0] + lines, text, count=1)
            if not sections:
                text = f"global{lines}\n\n{text}"
        if setting.bind:
            options = " ".join(setting.bind)
            text = _BIND.sub(lambda found: f"{found[0]} {options}", text)
        return text
