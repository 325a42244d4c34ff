"""What the servers of a configuration have to answer, so that HAProxy's checks of them succeed."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hatester.directives import words
from provision.guest.requests import HOST

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
_HOST = re.compile(
    r"(?:hdr(?:_dom)?\(host\)|ssl_fc_sni|req[._]ssl_sni)\S*(?:\s+-m\s+\w+|\s+-\w+)*"
    r"\s+([a-z0-9-]+(?:\.[a-z0-9-]+)+)",
    re.IGNORECASE,
)


@dataclass
class Checks:
    """What is told by the text of configurations.

    `protocols` are those of checks by port; `expected` are the texts that answers must contain, and
    `statuses` the HTTP statuses by path. `servers` are addresses, such as 10.0.0.5:8008 or `*:8008`
    where the address is not told, at which somebody is looked for beside the servers themselves.
    `shifted` are servers whose port is that of the client's connection and so many more: their
    addresses, each with that number.
    """

    protocols: dict[str, str] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    servers: list[str] = field(default_factory=list)
    shifted: list[tuple[str, int]] = field(default_factory=list)


def read(texts: Iterable[str]) -> Checks:
    """Return what the checks in configurations need."""
    found = Checks()
    for text in texts:
        chroot = next((w[1].rstrip("/") for w in _lines(text) if w[0] == "chroot" and w[1:]), "")
        for name, lines in _sections(text):
            if name in _SECTIONS:
                _read_proxy(found, lines, chroot)
            for line in lines:
                if name == "resolvers" and line[0] == "nameserver" and len(line) > 2:
                    _add_place(found, line[2])
    found.expected = list(dict.fromkeys(found.expected))
    found.servers = list(dict.fromkeys(found.servers))
    return found


def site(texts: Iterable[str]) -> str:
    """Return the name of a site that configurations know, to ask for it."""
    names = (match[1] for text in texts for match in _HOST.finditer(text))
    return next(names, HOST)


def stats_sockets(text: str) -> list[str]:
    """Return the addresses of HAProxy's own sockets, as results name addresses."""
    lines = (line for line in _lines(text) if line[:2] == ["stats", "socket"] and len(line) > 2)
    return [_unprefixed(line[2]) for line in lines]


def peers(text: str) -> list[str]:
    """Return the names of peers, unless HAProxy is told which one it is."""
    if any(line[0] == "localpeer" for line in _lines(text)):
        return []
    return [
        line[1]
        for name, lines in _sections(text)
        for line in lines
        if name == "peers" and line[0] in ("peer", "server") and len(line) > 2
    ]


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        if found := [word.text for word in words(line)]:
            yield found


def _sections(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield each section's kind and its lines, the first one apart."""
    name = ""
    lines: list[list[str]] = []
    for line in _lines(text):
        if line[0] in _SECTIONS or line[0] in ("global", "frontend", "resolvers", "peers"):
            yield name, lines
            name, lines = line[0], []
        else:
            lines.append(line)
    yield name, lines


def _read_proxy(found: Checks, lines: Sequence[list[str]], chroot: str) -> None:
    protocol, path = "", "/"
    for line in lines:
        match line:
            case ["option", option, *_] if option in _PROTOCOLS:
                protocol = _PROTOCOLS[option]
            case ["option", "httpchk", *rest] if rest:
                path = rest[1] if len(rest) > 1 else rest[0]
            case ["http-check", "send", *rest] if "uri" in rest[:-1]:
                path = rest[rest.index("uri") + 1]
            case ["http-check" | "tcp-check", "expect", *rest]:
                _expect(found, path, rest)
            case ["server" | "server-template" | "default-server", *rest]:
                _read_server(found, line, rest, protocol, chroot)


def _expect(found: Checks, path: str, rest: Sequence[str]) -> None:
    """Take in what a check expects; what must not be there is not there anyway."""
    match [word for word in rest if word != "comment"]:
        case ["status", status, *_] if status[:3].isdigit():
            found.statuses[path] = int(status[:3])
        case ["string", text, *_]:
            found.expected.append(text)
        case ["rstring", pattern, *_]:
            found.expected.append(_example(pattern))


def _example(pattern: str) -> str:
    """Return a text that simple patterns match: the first of their choices, without anchors."""
    first = re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", pattern).split("|")[0]
    return re.sub(r"[\^$()]|\.\*", "", first).replace("\\", "")


def _read_server(
    found: Checks, line: Sequence[str], rest: Sequence[str], protocol: str, chroot: str
) -> None:
    options = dict(itertools.pairwise(rest))
    address = _unprefixed(line[2]) if line[0] == "server" and len(line) > 2 else ""
    if address.startswith("/"):
        found.servers.append(chroot + address)
    host, _, port = address.rpartition(":")
    if shift := _SHIFTED.fullmatch(address):
        _add_shifted(found, shift)
    if "agent-check" in rest and "agent-port" in options:
        found.protocols[options["agent-port"]] = "agent"
        _add_place(found, f"{options.get('agent-addr') or host}:{options['agent-port']}")
    checked = options.get("port", port)
    if "check" in rest and "port" in options:
        _add_place(found, f"{options.get('addr') or host}:{checked}")
    if protocol and checked.isdigit():
        found.protocols[checked] = protocol


def _add_shifted(found: Checks, shift: re.Match[str]) -> None:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(shift["host"].strip("[]"))
        found.shifted.append((str(address), int(shift["shift"] or 0)))


def _unprefixed(address: str) -> str:
    """Return an address without its family."""
    return re.sub(r"^(?:ipv[46]|unix|tcp[46]?|udp[46]?|stream)@", "", address)


def _add_place(found: Checks, text: str) -> None:
    """Add an address and a port, if there is a port; a name's address is not told."""
    host, _, port = _unprefixed(text).rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        return
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        address = "*"
    found.servers.append(f"{address}:{port}")
