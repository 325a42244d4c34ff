"""Files that a HAProxy configuration names and that were not provided, and placeholders for them.

HAProxy accepts the placeholders as they are.
"""

from __future__ import annotations

import base64
import itertools
import posixpath
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from hatester.matrix.haproxy_config import Line, options_from, words
from hatester.matrix.surroundings.addresses import compared_names, names_of_file, names_of_list
from hatester.matrix.surroundings.named_files import (
    Named,
    Places,
    can_be_made,
    find_named_in_list,
    named,
)
from provision.guest.haproxy_root import RESOLVER

if TYPE_CHECKING:
    from hatester.util.pem import LookAlikes

NOBODY = "hatester.invalid"
"""The name in certificates for which no other is known."""
_MOST_NAMES = 100
"""Names of a certificate, which is sent with every handshake."""
_TICKET_BYTES = 48
_DH = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""ffdhe2048 (RFC 7919, appendix A.1)."""

# The noun for a file, and the parts that HAProxy looks for, by keyword. The first keyword here that
# a file has gives it the noun.
_PEM: dict[str, tuple[str, frozenset[str]]] = {
    "crt": ("certificate", frozenset(("key", "certificate"))),
    "ca-sign-file": ("CA certificate with its key", frozenset(("key", "certificate"))),
    "key": ("private key", frozenset(("key",))),
    "ca-file": ("CA certificate", frozenset(("certificate",))),
    "ca-verify-file": ("CA certificate", frozenset(("certificate",))),
    "httpclient.ssl.ca-file": ("CA certificate", frozenset(("certificate",))),
    "issuer": ("CA certificate", frozenset(("certificate",))),
    "crl-file": ("empty list of revoked certificates", frozenset(("revocations",))),
    "ssl-dh-param-file": ("set of DH parameters", frozenset(("dh",))),
    "jwt_verify": ("public key", frozenset(("public key",))),
}


@dataclass
class Wanted:
    """Facts about a missing file."""

    keywords: set[str] = field(default_factory=set)
    """The words that name it, such as `crt`."""
    names: list[str] = field(default_factory=list)
    """Host names that a certificate has to have."""
    status: int = HTTPStatus.SERVICE_UNAVAILABLE
    """The status of the response, of a page."""
    text: str = ""
    """The content, of a list."""


def noun_of(wanted: Wanted) -> str:
    """Return the noun for a file in a sentence."""
    for keyword, (noun, _) in _PEM.items():
        if keyword in wanted.keywords:
            return noun
    if "tls-ticket-keys" in wanted.keywords:
        return "set of ticket keys"
    if "crt-list" in wanted.keywords:
        return "list of one certificate"
    if "errorfile" in wanted.keywords:
        return "error page"
    if wanted.keywords & {"file", "lf-file"}:
        return "page"
    return "list of nameservers" if "parse-resolv-conf" in wanted.keywords else "empty list"


def content_of(wanted: Wanted, look_alikes: LookAlikes) -> str:
    """Return the content of a placeholder."""
    parts = {part for each in wanted.keywords & _PEM.keys() for part in _PEM[each][1]}
    if parts:
        return _pem(parts, wanted.names[:_MOST_NAMES] or [NOBODY], look_alikes)
    if "tls-ticket-keys" in wanted.keywords:
        keys = (base64.b64encode(secrets.token_bytes(_TICKET_BYTES)).decode() for _ in range(3))
        return "".join(f"{key}\n" for key in keys)
    if "errorfile" in wanted.keywords:
        return _response(wanted.status)
    if wanted.keywords & {"file", "lf-file"}:
        return "a placeholder of hatester\n"
    return wanted.text


def _pem(parts: set[str], names: Sequence[str], look_alikes: LookAlikes) -> str:
    blocks: dict[str, Callable[[], str]] = {
        "key": look_alikes.private_key,
        "public key": look_alikes.public_key,
        "certificate": lambda: look_alikes.certificate(names),
        "revocations": lambda: look_alikes.revocations(names[0]),
        "dh": lambda: _DH,
    }
    return "".join(block() for part, block in blocks.items() if part in parts)


def _response(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in {*HTTPStatus} else "Error"
    lines = (
        f"HTTP/1.0 {status} {phrase}", "Cache-Control: no-cache", "Connection: close",
        "Content-Type: text/html", "",
        f"<html><body><h1>{status} {phrase}</h1>A placeholder of hatester.</body></html>", "",
    )  # fmt: skip
    return "\r\n".join(lines)


_ALONE = ("ssl-dh-param-file", "httpclient.ssl.ca-file")
"""Keywords that begin their line."""
_NO_FILES = ("lua-load", "lua-load-per-thread", "lua-prepend-path", "config", "issuers-chain-path")
"""Programs and their settings cannot be made up; the last one names a folder."""
_ANYWHERE = ("-f", "errorfile", "file", "lf-file", "jwt_verify")
_IN_FOLDER = "hatester.pem"
"""The certificate in a folder, and in a list, of which nothing is known."""
_STATUS = ("status", "deny_status", "errorfile")
"""Words before the status of a page."""
_CODE = re.compile("[1-5][0-9][0-9]")


def find_missing(configurations: Iterable[tuple[Places, Sequence[Line]]]) -> dict[str, Wanted]:
    """Return the facts about each missing file of configurations, by absolute path."""
    wanted: dict[str, Wanted] = {}
    for places, lines in configurations:
        search = _Search(wanted, places, compared_names(lines))
        for line in lines:
            for file in named(line.words):
                if _is_meant(line, file):
                    search.take(line, file)
            if line.texts[:1] == ["parse-resolv-conf"]:
                found = search.add("/etc/resolv.conf", line.texts[0])
                found.text = f"nameserver {RESOLVER}\n"
    return wanted


@dataclass
class _Search:
    """A search for missing files in a configuration: `wanted` has those found, by absolute path.

    `names` are those for which there may be certificates.
    """

    wanted: dict[str, Wanted]
    places: Places
    names: Sequence[str]

    def add(self, path: str, keyword: str) -> Wanted:
        """Return the facts about a file, to be completed; they are kept if it was not provided."""
        if self.places.is_given(path) or not can_be_made(path):
            return Wanted()
        found = self.wanted.setdefault(path, Wanted())
        found.keywords.add(keyword)
        return found

    def take(self, line: Line, file: Named) -> None:
        """Note that a line wants a file."""
        path = self.places.absolute(line, file.path, file.base)
        if _is_folder(line, file):
            if self.places.is_given(path) or self.places.is_in_given(path):
                return
            path = posixpath.join(path, _IN_FOLDER)
        match file.keyword:
            case "crt-list":
                self._take_list(line, path)
            case "crt":
                self._take_certificate(path, self._names_of(path))
            case "errorfile":
                self.add(path, file.keyword).status = _status(line.texts)
            case _:
                self.add(path, file.keyword)

    def _take_certificate(self, path: str, names: Sequence[str]) -> None:
        wanted = self.add(path, "crt")
        wanted.names = [*dict.fromkeys((*wanted.names, *names))]

    def _names_of(self, path: str) -> list[str]:
        """Return the name that a certificate's file is called by and those below it, or all."""
        own = names_of_file(path)
        return [*own, *(name for name in self.names if not own or name.endswith(f".{own[0]}"))]

    def _take_list(self, line: Line, path: str) -> None:
        """Note what a crt-list names; without its content, that is one certificate beside it."""
        content = self.places.content(path)
        if content is None:
            certificate = posixpath.join(posixpath.dirname(path), _IN_FOLDER)
            self.add(path, "crt-list").text = f"{certificate}\n"
            self._take_certificate(certificate, self.names)
            return
        for found in map(words, content.split("\n")):
            filters = names_of_list([word.text for word in found])
            for file in find_named_in_list(found):
                place = self.places.absolute(line, file.path, file.base)
                if file.keyword == "crt":
                    self._take_certificate(place, filters or self._names_of(place))
                else:
                    self.add(place, file.keyword)


def _is_meant(line: Line, file: Named) -> bool:
    """Return whether a word that looks like the path of a file is one, which HAProxy needs."""
    text = line.texts[file.index]
    if file.keyword in _NO_FILES or f"opt@{file.path}" in text:
        return False
    if file.kind == "list" or file.keyword in _ANYWHERE:
        return True
    start = options_from(line.texts)
    return file.index == 1 if file.keyword in _ALONE else 0 < start < file.index


def _is_folder(line: Line, file: Named) -> bool:
    """Return whether HAProxy takes all certificates of a folder (its manual, section 5.1)."""
    match file.keyword:
        case "crt":
            is_bind = line.texts[0] in ("bind", "default-bind")
            return is_bind and "." not in posixpath.basename(file.path)
        case "ca-file":
            return file.path.endswith("/")
    return False


def _status(texts: Sequence[str]) -> int:
    """Return the status of the response that a line has for a page."""
    codes = (
        int(code)
        for word, code in itertools.pairwise(texts)
        if word in _STATUS and _CODE.fullmatch(code)
    )
    return next(codes, HTTPStatus.SERVICE_UNAVAILABLE)
