"""Where the files are that a HAProxy configuration names, and which of them somebody gave."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hatester.matrix.haproxy_directives import absolute_bases, bases_of
from hatester.matrix.haproxy_lines import Line

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
"""Where every configuration is when HAProxy is started with it."""
_ETC = "/etc/haproxy"
_IMAGES_ETC = "/usr/local/etc/haproxy"
"""Where images of HAProxy have their configuration: the same folder in the roots of hatester."""
_OURS = re.compile(r"/(?!(?:dev|proc|sys)(?:/|$))[^\x00-\x1f\x7f\ud800-\udfff]+")
_BUNDLE = ("rsa", "ecdsa", "dsa")
"""Of these endings HAProxy takes all files that there are (`ssl-load-extra-files`)."""


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
        folders = absolute_bases({**self.folders, **self.stores.get(line.start, {})}, "/")
        return normal(posixpath.join(folders.get(base, folders[""]), path))

    def is_given(self, path: str) -> bool:
        """True if a file was given, or another one that HAProxy takes in its stead."""
        names = (path, *(f"{path}.{ending}" for ending in _BUNDLE))
        return any(canonical(name) in self.given for name in names)

    def is_in_given(self, folder: str) -> bool:
        """True if a file in a folder was given."""
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
    return bases_of((line.texts for line in lines), CONFIGURATION)


def normal(path: str) -> str:
    """Return an absolute path without `..`, and without a slash at its end."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def canonical(path: str) -> str:
    """Return the one path of a file that has two, as the folder of images is a link."""
    path = normal(path)
    inside = path.removeprefix(_IMAGES_ETC)
    return _ETC + inside if path != inside and inside[:1] in ("", "/") else path


def can_be_made(path: str) -> bool:
    """True for a path of HAProxy's root, except devices and the like, such as `/dev/null`."""
    return _OURS.fullmatch(path) is not None
