"""Host names for which a HAProxy configuration seems to have certificates."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from hatester.matrix.haproxy_lines import Line, comparisons

_HOST = re.compile(
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
"""What stands for `*.` in the names of files."""


def compared_names(lines: Iterable[Line]) -> list[str]:
    """Return the host names with which a configuration compares the name that a client asks for,
    and those that it asks its servers for."""
    found = (name for line in lines for name in (*_compared(line.texts), *_of_servers(line.texts)))
    return [*dict.fromkeys(found)]


def _compared(texts: Sequence[str]) -> Iterator[str]:
    for sample, patterns in comparisons(texts):
        if _ASKED.fullmatch(sample):
            yield from host_names(patterns)


def _of_servers(texts: Sequence[str]) -> Iterator[str]:
    for word, value in itertools.pairwise(texts):
        if word == "sni" and (found := _STRING.fullmatch(value)):
            yield from host_names([found["host"]])


def host_names(patterns: Iterable[str]) -> Iterator[str]:
    """Return the names among patterns, as a certificate has them: `.example.org` is `*.` of it."""
    for pattern in patterns:
        name = pattern.partition(":")[0]
        name = f"*{name}" if name.startswith(".") else name
        if _HOST.fullmatch(name):
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
