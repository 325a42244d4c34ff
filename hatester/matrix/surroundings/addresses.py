"""Addresses in a HAProxy configuration: host names and UNIX sockets.

The forms are those of str2sa_range in HAProxy's src/tools.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hatester.matrix.haproxy_lines import comparisons, options_from

_BOUND: dict[tuple[str, ...], int] = {("bind",): 1, ("dgram-bind",): 1, ("stats", "socket"): 2}
_USED: dict[tuple[str, ...], int] = {
    ("dispatch",): 1, ("log",): 1, ("log-stderr",): 1, ("ocsp-update.httpproxy",): 1,
    ("source",): 1, ("mailer",): 2, ("nameserver",): 2, ("peer",): 2, ("server",): 2,
    ("server-template",): 3,
}  # fmt: skip
"""The index of the address in lines that begin so."""
_OPTIONS = ("addr", "agent-addr", "source", "usesrc", "socks4")
_INTERNET = re.compile(
    r"(?:(?:stream|dgram|quic)\+)?(?:(?:ip|ipv4|ipv6|(?:mptcp|tcp|udp|quic)[46]?)@)?"
    r"(?P<host>[A-Za-z0-9._-]+)(?::[^:]*)?"
)
_SOCKET = re.compile(r"(?:(?:stream|dgram)\+)?(?:(?:unix|uxst|uxdg)@(?P<named>.+)|(?P<path>/.+))")
_NO_HOSTS = ("global", "stdout", "stderr", "client", "clientip")
"""Words that may stand in the place of an address (`log global`, `usesrc clientip`)."""
_COMPARED = re.compile(r"(?:[a-z]+_)?(?:src|dst)|(?:req\.|res\.)?hdr_ip\(.*\)")
"""Samples whose patterns are networks, or names of hosts, which are resolved at startup."""


def positions(texts: Sequence[str]) -> list[int]:
    """Return the indexes of the words of a line that are addresses."""
    first = _index(texts, {**_BOUND, **_USED})
    start = options_from(texts) or len(texts)
    options = [index + 1 for index in range(start, len(texts)) if texts[index] in _OPTIONS]
    return [index for index in (*first, *options) if index < len(texts)]


def addresses(texts: Sequence[str]) -> list[str]:
    """Return the addresses of a line."""
    return [each for index in positions(texts) for each in texts[index].split(",")]


def bound(texts: Sequence[str]) -> list[str]:
    """Return the addresses at which a line has HAProxy listen."""
    return [each for index in _index(texts, _BOUND) for each in texts[index].split(",")]


def _index(texts: Sequence[str], forms: dict[tuple[str, ...], int]) -> list[int]:
    found = (forms.get(tuple(texts[:count])) for count in (1, 2))
    return [index for index in found if index is not None and index < len(texts)]


def hosts(texts: Sequence[str]) -> Iterator[str]:
    """Return the host names in a line that have to resolve when HAProxy starts."""
    compared = (
        pattern
        for sample, patterns in comparisons(texts)
        if _COMPARED.fullmatch(sample)
        for pattern in patterns
    )
    yield from (host for each in (*addresses(texts), *compared) if (host := host_of(each)))


def host_of(address: str) -> str | None:
    """Return the host name in an address, if it has one that the C library has to resolve."""
    found = _INTERNET.fullmatch(address)
    if not found or found["host"] in _NO_HOSTS:
        return None
    # What begins with an underscore is a service (RFC 2782), which HAProxy asks its resolvers for.
    # An IPv4 address has no letters, and an IPv6 address has more colons.
    return found["host"] if re.match(r"(?!_).*[A-Za-z]", found["host"]) else None


def socket_of(address: str) -> str | None:
    """Return the path of a UNIX socket, if the address is one."""
    found = _SOCKET.fullmatch(address)
    return found["named"] or found["path"] if found else None
