"""Files that a HAProxy configuration names, and that nobody gave."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from hatester.matrix.haproxy_directives import Named, named, named_by_list, words
from hatester.matrix.haproxy_lines import Line, options_from
from hatester.matrix.surroundings.paths import Places, can_be_made
from hatester.matrix.surroundings.placeholder_files import Wanted
from hatester.matrix.surroundings.server_names import compared_names, names_of_file, names_of_list
from provision.guest.root import RESOLVER

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


@dataclass
class _Search:
    """What was found missing, by absolute path."""

    wanted: dict[str, Wanted] = field(default_factory=dict)

    def add(self, places: Places, path: str, keyword: str) -> Wanted:
        """Return what is wanted of a file, to be completed; it is kept if nobody gave the file."""
        if places.is_given(path) or not can_be_made(path):
            return Wanted()
        found = self.wanted.setdefault(path, Wanted())
        found.keywords.add(keyword)
        return found


def find(configurations: Iterable[tuple[Places, Sequence[Line]]]) -> dict[str, Wanted]:
    """Return what is known of each missing file of configurations, by absolute path."""
    search = _Search()
    for places, lines in configurations:
        names = compared_names(lines)
        for line in lines:
            for file in named(line.words):
                if _is_meant(line, file):
                    _take(search, places, line, file, names)
            if line.texts[:1] == ["parse-resolv-conf"]:
                found = search.add(places, "/etc/resolv.conf", line.texts[0])
                found.text = f"nameserver {RESOLVER}\n"
    return search.wanted


def _is_meant(line: Line, file: Named) -> bool:
    """True if a word that looks like the path of a file is one, which HAProxy needs."""
    text = line.texts[file.index]
    if file.keyword in _NO_FILES or f"opt@{file.path}" in text:
        return False
    if file.kind == "list" or file.keyword in _ANYWHERE:
        return True
    start = options_from(line.texts)
    return file.index == 1 if file.keyword in _ALONE else 0 < start < file.index


def _take(search: _Search, places: Places, line: Line, file: Named, names: Sequence[str]) -> None:
    """Note that a line wants a file; `names` are those for which there may be certificates."""
    path = places.absolute(line, file.path, file.base)
    if _is_folder(line, file):
        if places.is_given(path) or places.is_in_given(path):
            return
        path = posixpath.join(path, _IN_FOLDER)
    match file.keyword:
        case "crt-list":
            _take_list(search, places, line, path, names)
        case "crt":
            _take_certificate(search, places, path, _names(path, names))
        case "errorfile":
            search.add(places, path, file.keyword).status = _status(line.texts)
        case _:
            search.add(places, path, file.keyword)


def _is_folder(line: Line, file: Named) -> bool:
    """True if HAProxy takes all certificates of a folder (its manual, section 5.1)."""
    match file.keyword:
        case "crt":
            is_bind = line.texts[0] in ("bind", "default-bind")
            return is_bind and "." not in posixpath.basename(file.path)
        case "ca-file":
            return file.path.endswith("/")
    return False


def _take_certificate(search: _Search, places: Places, path: str, names: Sequence[str]) -> None:
    wanted = search.add(places, path, "crt")
    wanted.names = [*dict.fromkeys((*wanted.names, *names))]


def _names(path: str, names: Sequence[str]) -> list[str]:
    """Return the name that a certificate's file is called by and those below it, or else all."""
    own = names_of_file(path)
    return [*own, *(name for name in names if not own or name.endswith(f".{own[0]}"))]


def _take_list(
    search: _Search, places: Places, line: Line, path: str, names: Sequence[str]
) -> None:
    """Note what a crt-list names; without its content, that is one certificate beside it."""
    content = places.content(path)
    if content is None:
        certificate = posixpath.join(posixpath.dirname(path), _IN_FOLDER)
        search.add(places, path, "crt-list").text = f"{certificate}\n"
        _take_certificate(search, places, certificate, names)
        return
    for found in map(words, content.split("\n")):
        filters = names_of_list([word.text for word in found])
        for file in named_by_list(found):
            place = places.absolute(line, file.path, file.base)
            if file.keyword == "crt":
                _take_certificate(search, places, place, filters or _names(place, names))
            else:
                search.add(places, place, file.keyword)


def _status(texts: Sequence[str]) -> int:
    """Return the status of the response that a line has for a page."""
    codes = (
        int(code)
        for word, code in itertools.pairwise(texts)
        if word in _STATUS and _CODE.fullmatch(code)
    )
    return next(codes, HTTPStatus.SERVICE_UNAVAILABLE)
