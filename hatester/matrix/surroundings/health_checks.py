"""Answers that the servers of a configuration must give, so that HAProxy's checks succeed."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hatester.matrix.haproxy_config import parse
from hatester.matrix.surroundings.addresses import asked_names
from provision.guest.connections import HOST

_PROTOCOLS = {
    "smtpchk": "smtp",
    "mysql-check": "mysql",
    "pgsql-check": "pgsql",
    "ldap-check": "ldap",
    "redis-check": "redis",
}
"""The protocol of a check by the option that asks for it (configuration manual, section 4.2)."""
_SHIFTED = re.compile(r"(?P<host>\[.*\]|[0-9.]+)(?::(?P<shift>[+-]\d+))?")
"""A server's address without a port of its own (configuration manual, section 5.2)."""
_SECTIONS = ("listen", "backend", "defaults")


@dataclass
class Checks:
    """The checks in the text of configurations.

    `protocols` are the protocols of checks by port, `scripts` the texts that servers send by port:
    at first, and after each message. `expected` are texts that bodies of HTTP must contain,
    `statuses` the HTTP statuses by path. Bytes are written as characters of Latin-1. `servers` are
    further addresses that are checked, such as 10.0.0.5:8008, or `*:8008` if the address is
    unknown. `shifted` are addresses of servers whose port is that of the client's connection plus a
    number.
    """

    protocols: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, list[str]] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    servers: list[str] = field(default_factory=list)
    shifted: list[tuple[str, int]] = field(default_factory=list)


def read(texts: Iterable[str]) -> Checks:
    """Return the needs of the checks in configurations."""
    found = Checks()
    for text in texts:
        sections = list(_sections(text))
        every = [line for _, lines in sections for line in lines]
        chroots = [line[1].rstrip("/") for line in every if line[0] == "chroot" and line[1:]]
        for name, lines in sections:
            if name in _SECTIONS:
                _read_proxy(_Proxy(found, chroots[0] if chroots else ""), lines)
            for line in lines:
                if name == "resolvers" and line[0] == "nameserver" and len(line) > 2:
                    _add_place(found, line[2])
    found.expected = list(dict.fromkeys(found.expected))
    found.servers = list(dict.fromkeys(found.servers))
    return found


def site(texts: Iterable[str]) -> str:
    """Return the name of a site that configurations know, to ask for it."""
    lines = (line.texts for text in texts for line in parse(text))
    names = (name for line in lines for name in asked_names(line))
    return next((name for name in names if not name.startswith("*")), HOST)


def peers(text: str) -> list[str]:
    """Return the names of peers, unless `localpeer` says which one HAProxy is."""
    sections = list(_sections(text))
    if any(line[0] == "localpeer" for _, lines in sections for line in lines):
        return []
    return [
        line[1]
        for name, lines in sections
        for line in lines
        if name == "peers" and line[0] in ("peer", "server") and len(line) > 2
    ]


def _sections(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the first word of each section, and its lines."""
    lines = (line for line in parse(text) if line.words)
    for (name, _), section in itertools.groupby(lines, key=lambda line: (line.section, line.start)):
        yield name, [line.texts for line in section]


@dataclass
class _Proxy:
    """The checks of a section's servers, as far as it was read; what they need goes to `found`."""

    found: Checks
    chroot: str
    """The folder of UNIX sockets."""
    protocol: str = ""
    path: str = "/"
    port: str = ""
    """The port of checks, for servers without another."""
    script: list[str] = field(default_factory=lambda: [""])
    """The texts that a check expects: before it sends anything, and after each message."""
    is_asked: bool = False
    """True if the check sent a message and has not expected an answer yet."""


def _read_proxy(proxy: _Proxy, lines: Sequence[list[str]]) -> None:
    # Defaults of servers, and checks, may stand behind the servers.
    for line in sorted(lines, key=lambda each: each[0] == "server"):
        match line:
            case ["option", option, *_] if option in _PROTOCOLS:
                proxy.protocol = _PROTOCOLS[option]
            case ["option", "httpchk", *rest] if rest:
                proxy.path = rest[1] if len(rest) > 1 else rest[0]
            case ["http-check", "send", *rest] if "uri" in rest[:-1]:
                proxy.path = rest[rest.index("uri") + 1]
            case ["tcp-check" | "http-check", "connect", *rest] if "port" in rest[:-1]:
                proxy.port = rest[rest.index("port") + 1]
            case ["tcp-check", "send" | "send-binary" | "send-lf" | "send-binary-lf", *_]:
                proxy.script += [] if proxy.is_asked else [""]
                proxy.is_asked = True
            case ["http-check" | "tcp-check" as kind, "expect", *rest]:
                _expect(proxy, rest, kind == "tcp-check")
            case ["default-server", *rest] if "port" in rest[:-1]:
                proxy.port = rest[rest.index("port") + 1]
            case ["server" | "server-template", *rest]:
                _read_server(proxy, line, rest)


def _expect(proxy: _Proxy, rest: Sequence[str], is_tcp: bool) -> None:
    """Take in what a check expects; what must not be there is not there anyway."""
    text = None
    match rest:
        case ["comment", _, *further]:
            _expect(proxy, further, is_tcp)
        case ["status", status, *_] if status[:3].isdigit():
            proxy.found.statuses[proxy.path] = int(status[:3])
        case ["string", string, *_]:
            text = string.encode().decode("latin-1")
        case ["rstring", pattern, *_]:
            text = _example(pattern).encode().decode("latin-1")
        case ["binary", digits, *_]:
            with contextlib.suppress(ValueError):
                text = bytes.fromhex(digits).decode("latin-1")
    if text and is_tcp:
        proxy.script[-1] += f"{text}\r\n"
        proxy.is_asked = False
    elif text:
        proxy.found.expected.append(text)


def _example(pattern: str) -> str:
    """Return a text that simple patterns match: the first of their choices, without anchors."""
    first = re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", pattern).split("|")[0]
    return re.sub(r"[\^$()]|\.\*", "", first).replace("\\", "")


def _read_server(proxy: _Proxy, line: Sequence[str], rest: Sequence[str]) -> None:
    found = proxy.found
    options = dict(itertools.pairwise(rest))
    address = _without_family(line[2]) if line[0] == "server" and len(line) > 2 else ""
    if address.startswith("/"):
        found.servers.append(proxy.chroot + address)
    host, _, port = address.rpartition(":")
    if shift := _SHIFTED.fullmatch(address):
        with contextlib.suppress(ValueError):
            there = ipaddress.ip_address(shift["host"].strip("[]"))
            found.shifted.append((str(there), int(shift["shift"] or 0)))
    if "agent-check" in rest and "agent-port" in options:
        found.protocols[options["agent-port"]] = "agent"
        _add_place(found, f"{options.get('agent-addr') or host}:{options['agent-port']}")
    checked = options.get("port") or proxy.port or port
    if "check" in rest and checked != port:
        _add_place(found, f"{options.get('addr') or host}:{checked}")
    if proxy.protocol and checked.isdigit():
        found.protocols[checked] = proxy.protocol
    elif any(proxy.script) and checked.isdigit():
        # The same servers may be checked for several things.
        before = found.scripts.get(checked, [])
        both = itertools.zip_longest(before, proxy.script, fillvalue="")
        found.scripts[checked] = [old if new in old else old + new for old, new in both]


def _without_family(address: str) -> str:
    return re.sub(r"^(?:ipv[46]|unix|tcp[46]?|udp[46]?|stream)@", "", address)


def _add_place(found: Checks, text: str) -> None:
    """Add an address and a port, if there is a port. The address of a name is unknown."""
    host, _, port = _without_family(text).rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        return
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        address = "*"
    found.servers.append(f"{address}:{port}")
