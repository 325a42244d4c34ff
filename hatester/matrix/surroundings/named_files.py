"""Files and folders that a HAProxy configuration names, where they are, and which were provided."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hatester.matrix.haproxy_config import Line, Word, options
from hatester.matrix.surroundings.addresses import addresses, bound, socket_of

Kind = Literal[
    "configuration",
    "certificate",
    "certificates",
    "certificate list",
    "ticket keys",
    "error file",
    "list",
    "Lua",
]
"""The purpose of a file. HAProxy has the key of a `certificate`; `certificates` are other ones, or
keys alone."""


@dataclass(frozen=True)
class Named:
    """A file, or folder, that a line names with its word `index`, as it is written there."""

    index: int
    path: str
    kind: Kind
    base: str
    """The keyword, such as `crt-base`, of the folder of relative paths; empty: default-path."""
    keyword: str
    """The word that makes it a path: the one before it, or the function that it is given to."""


# The word that stands before a path.
_BEFORE: dict[str, tuple[Kind, str]] = {
    "crt": ("certificate", "crt-base"),
    "key": ("certificates", "key-base"),
    "issuer": ("certificates", "crt-base"),
    "ca-file": ("certificates", "ca-base"),
    "ca-verify-file": ("certificates", "ca-base"),
    "crl-file": ("certificates", "ca-base"),
    "httpclient.ssl.ca-file": ("certificates", "ca-base"),
    "ca-sign-file": ("certificates", ""),
    "issuers-chain-path": ("certificates", ""),
    "ssl-dh-param-file": ("certificates", ""),
    "crt-list": ("certificate list", ""),
    "tls-ticket-keys": ("ticket keys", ""),
    "lua-load": ("Lua", ""),
    "lua-load-per-thread": ("Lua", ""),
    "-f": ("list", ""),
    "h1-case-adjust-file": ("list", ""),
    "file": ("error file", ""),
    "lf-file": ("error file", ""),
    "config": ("configuration", ""),
}
_ONLY_IN = {
    "key": ("load", "ssl-f-use"),
    "issuer": ("load", "ssl-f-use"),
    "file": ("http-request", "http-response", "monitor-uri", "http-error"),
    "lf-file": ("http-request", "http-response", "http-error"),
    "config": ("filter",),
}
_QUOTE = r"\s*\\?[\"']?"
_INSIDE: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(rf"\b((?:set-|del-)?map(?:_[a-z]+)*)\({_QUOTE}([^,()\"'\\]+)"), "list"),
    (re.compile(rf"\b((?:add|del)-acl)\({_QUOTE}([^,()\"'\\]+)"), "list"),
    # A word without a slash is a variable that holds the key, or the key itself.
    (re.compile(rf"\b(jwt_verify)\([^,()]*,{_QUOTE}([^,()\"'\\]*/[^,()\"'\\]*)"), "certificates"),
)
"""The functions that are given a path."""


def named(found: Sequence[Word]) -> Iterator[Named]:
    """Yield the files that a line of a configuration names."""
    texts = [word.text for word in found]
    for index, text in enumerate(texts):
        for pattern, kind in _INSIDE:
            for function, path in pattern.findall(text):
                yield from _named(index, path, kind, "", function)
        if index == 0:
            continue
        before = texts[index - 1]
        if before in _BEFORE and _is_meant(before, texts[0]):
            yield from _named(index, text, *_BEFORE[before], before)
        elif before == "lua-prepend-path":
            yield from _named(index, text.partition("?")[0], "Lua", "", before)
        elif _is_error_file(texts[max(index - 2, 0) : index]) and not text.isdecimal():
            yield from _named(index, text, "error file", "", "errorfile")


def _is_error_file(before: Sequence[str]) -> bool:
    """Return whether `errorfile` stands before, with or without a status between."""
    return before[-1] == "errorfile" or (before[-2:-1] == ["errorfile"] and before[-1].isdecimal())


def _is_meant(before: str, first: str) -> bool:
    return first in _ONLY_IN.get(before, (first,))


def _named(index: int, path: str, kind: Kind, base: str, keyword: str) -> Iterator[Named]:
    # `@system-ca`, `virt@name` and the like are not files.
    path = re.sub(r"^(file|opt)@", "", path)
    if path and "@" not in path:
        yield Named(index, path, kind, base, keyword)


def find_named_in_list(found: Sequence[Word]) -> Iterator[Named]:
    """Yield the files that a line of a crt-list names: the certificate, and those in brackets."""
    if found:
        yield Named(0, found[0].text, "certificate", "crt-base", "crt")
    inner = [replace(word, text=word.text.strip("[]")) for word in found]
    yield from named(inner)


CONFIGURATION = "/etc/haproxy/haproxy.cfg"
"""The path of every configuration when HAProxy is started."""
_ETC = "/etc/haproxy"
_IMAGES_ETC = "/usr/local/etc/haproxy"
"""The folder of configurations in images of HAProxy; in hatester's roots, a link to the other."""
_OURS = re.compile(r"/(?!(?:dev|proc|sys)(?:/|$))[^\x00-\x1f\x7f\ud800-\udfff]+")
_BUNDLE = ("rsa", "ecdsa", "dsa")
"""Endings of which HAProxy takes every file that exists (`ssl-load-extra-files`)."""


@dataclass(frozen=True)
class Places:
    """The places of one configuration's files."""

    given: Mapping[str, str]
    """Contents of the files that somebody gave, by absolute path; see `canonical`."""
    folders: Mapping[str, str]
    """The folders for relative paths, by `crt-base` and its likes."""
    stores: Mapping[int, Mapping[str, str]]
    """The same for each `crt-store` that sets its own, by the number of its first line."""

    def absolute(self, line: Line, path: str, base: str = "") -> str:
        """Return the absolute path that a line means."""
        folders = {**self.folders, **self.stores.get(line.start, {})}
        # HAProxy changes to `default-path`.
        start = posixpath.join("/", folders.pop("", ""))
        return normal(posixpath.join(start, folders.get(base, ""), path))

    def is_given(self, path: str) -> bool:
        """Return whether a file was given, or another one that HAProxy takes in its stead."""
        names = (path, *(f"{path}.{ending}" for ending in _BUNDLE))
        return any(canonical(name) in self.given for name in names)

    def is_in_given(self, folder: str) -> bool:
        """Return whether a file in a folder was given."""
        return any(path.startswith(canonical(folder) + "/") for path in self.given)

    def content(self, path: str) -> str | None:
        """Return the content of a file, if it was given."""
        return self.given.get(canonical(path))


def places_of(lines: Sequence[Line], given: Mapping[str, str]) -> Places:
    """Return the places of a configuration whose lines have the values of their variables."""
    stores = {line.start for line in lines if line.section == "crt-store"}
    return Places(
        given={canonical(path): text for path, text in given.items()},
        folders=_bases(line for line in lines if line.start not in stores),
        stores={start: _bases(line for line in lines if line.start == start) for start in stores},
    )


def _bases(lines: Iterable[Line]) -> dict[str, str]:
    """Return the folders that lines of a configuration set for relative paths."""
    there: dict[str, str] = {}
    for line in lines:
        match line.texts:
            case [("crt-base" | "ca-base" | "key-base") as name, folder, *_]:
                there[name] = folder
            case ["default-path", "origin", folder, *_]:
                there[""] = folder
            case ["default-path", "config", *_]:
                there[""] = posixpath.dirname(CONFIGURATION)
            case ["default-path", "parent", *_]:
                there[""] = posixpath.dirname(posixpath.dirname(CONFIGURATION))
    return there


def normal(path: str) -> str:
    """Return an absolute path without `..`, and without a slash at its end."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def canonical(path: str) -> str:
    """Return the one path of a file that has two, as the folder of images is a link."""
    path = normal(path)
    inside = path.removeprefix(_IMAGES_ETC)
    return _ETC + inside if path != inside and inside[:1] in ("", "/") else path


def can_be_made(path: str) -> bool:
    """Return whether a path is of HAProxy's root, and not a device such as `/dev/null`."""
    return _OURS.fullmatch(path) is not None


_FOLDERS = ("chroot", "server-state-base", "issuers-chain-path")
_FILES = ("pidfile", "shm-stats-file", "backing-file", "account-key")
"""Files that HAProxy makes, into a folder that it does not make."""


def folders_of(lines: Iterable[Line], places: Places) -> Iterator[str]:
    """Return the absolute paths of folders that a configuration takes for granted."""
    prefix = state = ""
    for line in lines:
        match line.texts:
            case ["unix-bind", *_]:
                prefix = dict(options(line.texts)).get("prefix", prefix)
            case ["server-state-base", folder, *_]:
                state = folder
        files = (posixpath.dirname(file) for file in _files(line.texts, prefix, state))
        for folder in (*_folders(line.texts), *files):
            path = places.absolute(line, folder)
            if can_be_made(path):
                yield path


def _folders(texts: Sequence[str]) -> Iterator[str]:
    match texts:
        case [first, folder, *_] if first in _FOLDERS:
            yield folder
        case ["default-path", "origin", folder, *_]:
            yield folder


def _files(texts: Sequence[str], prefix: str, state: str) -> Iterator[str]:
    """Return the paths of files and sockets.

    `prefix` is what stands before the path of each socket that is bound, except the one of `stats
    socket` (stats_parse_global in src/cli.c).
    """
    match texts:
        case [first, file, *_] if first in _FILES:
            yield file
        case ["server-state-file", file, *_]:
            yield posixpath.join(state, file)
        case ["unix-bind", *_]:
            yield f"{prefix}socket"
        case ["bind", *_]:
            yield from (prefix + path for each in bound(texts) if (path := socket_of(each)))
        case ["stats" | "log", *_]:
            yield from (path for each in addresses(texts) if (path := socket_of(each)))
