"""Folders that have to be there when HAProxy starts with a configuration."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from hatester.matrix.haproxy_lines import Line, options
from hatester.matrix.surroundings.addresses import addresses, bound, socket_of
from hatester.matrix.surroundings.paths import Places, can_be_made

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
