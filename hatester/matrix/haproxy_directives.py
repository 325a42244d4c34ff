"""Lines of a HAProxy configuration: their words, and the files that they name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
"""What a file is for; a `certificate` is one that HAProxy has the key of, `certificates` are of
others, or keys alone."""

_WORD = re.compile(r"""(?:\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|\\?$)|[^\s\\'"#]|\\$)+""")
QUOTED = re.compile(r"""\\(.?)|'([^']*)(?:'|$)|"((?:\\.|[^"\\])*)(?:"|\\?$)""")
"""What is not plain in a word: an escaped character, single quotes, double quotes."""


@dataclass(frozen=True)
class Word:
    """A word: where it is in its line, as it is written, and as it is meant."""

    start: int
    end: int
    raw: str

    @property
    def text(self) -> str:
        def meant(found: re.Match[str]) -> str:
            escaped, single, double = found.groups()
            if double is not None:
                return re.sub(r"\\(.)", r"\1", double)
            return str(escaped if single is None else single)

        return QUOTED.sub(meant, self.raw)


def words(line: str) -> list[Word]:
    """The words of a line without its comment (HAProxy's configuration manual, section 2.2)."""
    found = []
    position = 0
    while position < len(line) and line[position] != "#":
        match = _WORD.match(line, position)
        if match:
            found.append(Word(match.start(), match.end(), match[0]))
        position = match.end() if match else position + 1
    return found


@dataclass(frozen=True)
class Named:
    """A file, or folder, that a line names with its word `index`, as it is written there."""

    index: int
    path: str
    kind: Kind
    base: str
    """Of `crt-base` and its likes the one by which a relative path is meant, else default-path."""
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
    """The files that a line of a configuration names."""
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
    """Whether `errorfile` stands before, perhaps with the code in between."""
    return before[-1] == "errorfile" or (before[-2:-1] == ["errorfile"] and before[-1].isdecimal())


def _is_meant(before: str, first: str) -> bool:
    return first in _ONLY_IN.get(before, (first,))


def _named(index: int, path: str, kind: Kind, base: str, keyword: str) -> Iterator[Named]:
    # `@system-ca`, `virt@name` and the like are no files.
    path = re.sub(r"^(file|opt)@", "", path)
    if path and "@" not in path:
        yield Named(index, path, kind, base, keyword)


def named_by_list(found: Sequence[Word]) -> Iterator[Named]:
    """The files that a line of a crt-list names: the certificate, and more in its brackets."""
    if found:
        yield Named(0, found[0].text, "certificate", "crt-base", "crt")
    inner = [Word(word.start, word.end, word.raw.strip("[]")) for word in found]
    yield from named(inner)


def bases(texts: Mapping[str, str], origin: str) -> dict[str, str]:
    """The folders by which relative paths are meant, by `crt-base` and its likes.

    The one without a name is for all other paths: `default-path`, or else `origin`, where HAProxy
    is started. `texts` are the configurations by their paths.
    """
    there = {"": origin}
    for file, text in texts.items():
        there |= bases_of(([word.text for word in words(line)] for line in text.split("\n")), file)
    return absolute_bases(there, origin)


def bases_of(lines: Iterable[Sequence[str]], file: str) -> dict[str, str]:
    """Return the folders that lines of a configuration, as their words, set for relative paths."""
    there: dict[str, str] = {}
    for line in lines:
        match line:
            case [("crt-base" | "ca-base" | "key-base") as name, folder, *_]:
                there[name] = folder
            case ["default-path", "origin", folder, *_]:
                there[""] = folder
            case ["default-path", "config", *_]:
                there[""] = posixpath.dirname(file)
            case ["default-path", "parent", *_]:
                there[""] = posixpath.dirname(posixpath.dirname(file))
    return there


def absolute_bases(there: Mapping[str, str], origin: str) -> dict[str, str]:
    """Return folders for relative paths as absolute ones: HAProxy changes to `default-path`."""
    start = posixpath.join(origin, there.get("", ""))
    return {name: posixpath.join(start, folder) for name, folder in there.items()} | {"": start}
