"""The forms of values on the allow-list, and the names that stand for a host's own.

A value is kept only if it has the form that its directive takes. Every name is replaced: sections,
servers, hosts, files, sockets and accounts are numbered, the same one always with the same number.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

CHROOT = "/var/lib/haproxy"
"""A folder that every build's tree has."""
_SOCKETS = "/run/haproxy"
_FOLDER = "/etc/haproxy"
_PLAIN_SOCKET = "/dev/log"
_PLAIN_INTERFACE = re.compile(
    r"lo|(?:br|bond|dummy|eno|ens|eth|team|tun|tap|veth|vlan|wg)\d{1,4}(?:\.\d{1,4})?"
    r"|enp\d{1,3}s\d{1,3}(?:f\d{1,2})?"
)
_ADDRESS = re.compile(
    r"(?P<kind>(?:(?:stream|dgram|quic)\+)?(?:(?:ip|ipv4|ipv6|(?:mptcp|tcp|udp|quic)[46]?)@)?)"
    r"(?P<rest>[^@]*)"
)
_SOCKET = re.compile(
    r"(?P<kind>(?:(?:stream|dgram)\+)?(?:(?:unix|uxst|uxdg|abnsz?)@)?)(?P<path>[^@]+)"
)
_DESCRIPTOR = re.compile(r"(?:fd|sockpair)@\d{1,5}")
_PORT = re.compile(r"[+-]?\d{1,5}(?:-\d{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")
_PROTOCOLS = frozenset(("h2", "h3", "hq-interop", "http/1.0", "http/1.1", "spdy/3", "spdy/3.1"))
_STORED = re.compile(
    r"(?:bytes_in|bytes_out|conn|glitch|gpc[01]?|gpt0?|http_err|http_fail|http_req|sess|server)"
    r"(?:_cnt|_cur|_rate|_id|_key)?(?:\(\d{1,10}(?:us|ms|[smhd])?(?:,\d{1,10}(?:us|ms|[smhd])?)?\))?"
)
_CAPABILITIES = frozenset(
    f"cap_{each}" for each in ("net_admin", "net_bind_service", "net_raw", "sys_admin")
)
_LISTS: Mapping[str, Callable[[str], bool]] = {
    "capabilities": _CAPABILITIES.__contains__,
    "initial": lambda word: word in ("last", "libc", "none") or _is_address(word),
    "protocols": _PROTOCOLS.__contains__,
    "resolution": ("allow-dup-ip", "ignore-weight", "prevent-dup-ip").__contains__,
    "stored": lambda word: _STORED.fullmatch(word) is not None,
}
"""Forms that are lists with commas, of which each element has to be known."""
_SET = r"(?:all|odd|even|[0-9,-]{1,64})(?:/(?:all|odd|even|[0-9,-]{1,64}))?"
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "number": re.compile(r"-?\d{1,10}"),
    "time": re.compile(r"\d{1,10}(?:us|ms|[smhd])?"),
    "value": re.compile(r"\d{1,10}(?:us|ms|[smhd]|[kKmMgG][bB]?)?|on|off|auto"),
    "range": re.compile(r"\d{1,5}(?:-\d{1,5})?"),
    "cpus": re.compile(rf"(?:auto:)?{_SET}"),
    "threads": re.compile(_SET),
    "shards": re.compile(r"\d{1,5}|by-group|by-process|by-thread"),
}  # fmt: skip
_SECTIONS = frozenset(
    ("alias", "backend", "cache", "defaults", "frontend", "log", "nameserver", "peer", "peers",
     "resolvers", "ring", "server", "store", "table")
)  # fmt: skip
"""Forms that are names of what a configuration declares."""


@dataclass
class Names:
    """The names that stand for a host's own, by what they name."""

    numbers: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, kind: str, own: str) -> str:
        """Return the name that stands for `own`, such as `frontend1`."""
        known = self.numbers.setdefault(kind, {})
        return known.setdefault(own, f"{kind}{len(known) + 1}")

    def host(self, own: str) -> str:
        """Return the name that stands for a host's; `localhost` and a leading `*.` stay."""
        if own.lower() == "localhost":
            return own
        if own.startswith("*."):
            return f"*.{self.host(own[2:])}"
        return f"{self.of('host', own.lower().rstrip('.'))}.invalid"

    def file(self, kind: str, own: str) -> str:
        """Return the path that stands for a file's absolute path."""
        return f"{_FOLDER}/{self.of(kind, own)}"

    def interface(self, own: str) -> str:
        """Return the name of an interface: one that a system gives stays."""
        return own if _PLAIN_INTERFACE.fullmatch(own) else self.of("interface", own)

    def value(self, form: str, text: str) -> str | None:
        """Return the stand-in for a value of a form; None if it does not have the form."""
        if form in _SECTIONS:
            return self.of(form, text)
        if form in _PATTERNS:
            return text if _PATTERNS[form].fullmatch(text) else None
        if form in _LISTS:
            return text if all(map(_LISTS[form], text.split(","))) else None
        return _FORMS[form](self, text)

    def address(self, text: str) -> str | None:
        """Return an address, with its port and prefix; a name and a path of a socket numbered."""
        if _DESCRIPTOR.fullmatch(text):
            return text
        socket = _SOCKET.fullmatch(text)
        if socket and (socket["kind"].endswith("@") or socket["path"].startswith("/")):
            return socket["kind"] + self._socket(socket["kind"], socket["path"])
        found = _ADDRESS.fullmatch(text)
        if not found:
            return None
        rest = self._place(found["rest"])
        return None if rest is None else found["kind"] + rest

    def endpoint(self, text: str) -> str | None:
        """Return an address that has a port."""
        return self.address(text) if re.search(r":[^:]|[/@]", text) else None

    def _socket(self, kind: str, path: str) -> str:
        name = self.of("socket", path)
        if "abns" in kind:
            return name
        return path if path == _PLAIN_SOCKET else f"{_SOCKETS}/{name}.sock"

    def _place(self, text: str) -> str | None:
        """Return a host with or without a port, or None for another text.

        As in HAProxy, the last colon is before the port, unless the text is an IPv6 address.
        """
        host, colon, port = text.rpartition(":")
        if not colon or _is_address(text):
            host, port = text, ""
        if port and not _PORT.fullmatch(port):
            return None
        end = colon + port if host != text else ""
        if host in ("", "*") or _is_address(host):
            return host + end
        return self._server(host) + end if _HOST.fullmatch(host) else None

    def _server(self, host: str) -> str:
        """Return the name of a server's host; of a service (RFC 2782), its first two parts too."""
        if not host.startswith("_"):
            return self.host(host)
        service, _, domain = host.partition(".")
        protocol = "_udp" if domain.startswith("_udp.") else "_tcp"
        return f"_{self.of('service', service)}.{protocol}.{self.host(domain.partition('.')[2])}"

    def addresses(self, text: str) -> str | None:
        """Return a list of addresses with commas."""
        found = [self.address(each) for each in text.split(",")]
        return None if None in found else ",".join(each or "" for each in found)

    def logger(self, text: str) -> str | None:
        """Return where a `log` line has its messages go."""
        if text in ("global", "stderr", "stdout"):
            return text
        kind, _, name = text.partition("@")
        if kind in ("backend", "ring") and name:
            return f"{kind}@{self.of(kind, name)}"
        return self.address(text)

    def tracked(self, text: str) -> str | None:
        """Return a server that another one follows, with its backend if that is there."""
        *backend, server = text.split("/")
        names = [*(self.of("backend", each) for each in backend), self.of("server", server)]
        return "/".join(names) if len(names) < 3 else None

    def written(self, text: str) -> str:
        """Return a table of peers, as `write-to` has it."""
        peers, _, table = text.partition("/")
        return f"{self.of('peers', peers)}/{self.of('table', table)}"


def _is_address(text: str) -> bool:
    """Return whether a text is an IP address, perhaps in brackets; a zone is the host's name."""
    try:
        ipaddress.ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return False
    return "%" not in text


_FORMS: Mapping[str, Callable[[Names, str], str | None]] = {
    "account": lambda _, text: "root" if text == "root" else "haproxy",
    "address": Names.address,
    "addresses": Names.addresses,
    "endpoint": Names.endpoint,
    "chroot": lambda _, text: CHROOT,
    "interface": Names.interface,
    "logger": Names.logger,
    "template": lambda names, text: f"{names.of('template', text)}-",
    "tracked": Names.tracked,
    "written": Names.written,
}
