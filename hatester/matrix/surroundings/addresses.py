"""Addresses and host names in a HAProxy configuration, also those of its certificates.

The forms are those of str2sa_range in HAProxy's src/tools.c.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from hatester.matrix.haproxy_config import Line, comparisons, options_from

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
    # A name with an underscore first is a service (RFC 2782), which HAProxy asks its resolvers for.
    # An IPv4 address has no letters, and an IPv6 address has more colons.
    return found["host"] if re.match(r"(?!_).*[A-Za-z]", found["host"]) else None


def socket_of(address: str) -> str | None:
    """Return the path of a UNIX socket, if the address is one."""
    found = _SOCKET.fullmatch(address)
    return found["named"] or found["path"] if found else None


_NAME = re.compile(
    r"(?=.{4,253}$)(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]",
    re.ASCII | re.IGNORECASE,
)
_ASKED = re.compile(
    r"(?:req\.)?f?hdr(?:_\w+)?\(host\b.*|ssl_fc_sni.*|req[._]ssl_sni.*", re.IGNORECASE
)
"""Samples that hold the name of the host that a client asks for."""
_STRING = re.compile(r"str\((?P<host>[^()]+)\)")
_ENDINGS = re.compile(
    r"(?:[._-](?:pem|crt|cer|cert|key|combined|fullchain|chain|bundle|full|all|haproxy|rsa|ecdsa|dsa))+$",
    re.IGNORECASE,
)
_WILDCARD = re.compile(r"(?:_|wildcard|star)\.", re.IGNORECASE)
"""Text for `*.` in the names of files."""


def compared_names(lines: Iterable[Line]) -> list[str]:
    """Return the host names that a configuration expects of clients, or sends to servers."""
    found = (
        name for line in lines for name in (*asked_names(line.texts), *names_of_servers(line.texts))
    )
    return [*dict.fromkeys(found)]


def asked_names(texts: Sequence[str]) -> Iterator[str]:
    """Yield the host names with which a line compares the name that a client asks for."""
    for sample, patterns in comparisons(texts):
        if _ASKED.fullmatch(sample):
            yield from host_names(patterns)


def names_of_servers(texts: Sequence[str]) -> Iterator[str]:
    """Yield the host names that certificates of a line's servers must have."""
    for word, value in itertools.pairwise(texts):
        if word == "sni" and (found := _STRING.fullmatch(value)):
            yield from host_names([found["host"]])
        elif word == "verifyhost":
            yield from host_names([value])


def host_names(patterns: Iterable[str]) -> Iterator[str]:
    """Return the names among patterns, as a certificate has them: `.example.org` is `*.` of it."""
    for pattern in patterns:
        name = pattern.partition(":")[0]
        name = f"*{name}" if name.startswith(".") else name
        if _NAME.fullmatch(name):
            yield name


def names_of_file(path: str) -> list[str]:
    """Return the host name that a certificate's file, or else its folder, is called by, if any."""
    for name in (posixpath.basename(path), posixpath.basename(posixpath.dirname(path))):
        bare = _WILDCARD.sub("*.", _ENDINGS.sub("", name), count=1) if name else ""
        if found := [*host_names([bare])]:
            return found
    return []


def names_of_list(texts: Sequence[str]) -> list[str]:
    """Return the host names after the certificate, and its options in brackets, in a crt-list."""
    ends = [index for index, text in enumerate(texts) if text.endswith("]")]
    return [*host_names(texts[ends[-1] + 1 if ends else 1 :])]
