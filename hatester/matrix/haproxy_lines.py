"""Lines of a HAProxy configuration in their sections: options, comparisons, conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hatester.matrix.haproxy_directives import Word, words

SECTIONS = frozenset(
    ("global", "defaults", "frontend", "backend", "listen", "acme", "cache", "crt-store",
     "fcgi-app", "healthcheck", "http-errors", "log-forward", "log-profile", "mailers",
     "namespace_list", "peers", "program", "resolvers", "ring", "traces", "userlist")
)  # fmt: skip
"""The words that begin a section, however their lines are indented (src/cfgparse.c)."""
# How many words of a line stand before its options.
_BEFORE_OPTIONS = {
    ("bind",): 2, ("default-bind",): 1, ("stats", "socket"): 3, ("unix-bind",): 1,
    ("server",): 3, ("server-template",): 4, ("default-server",): 1, ("source",): 2,
    ("http-check", "connect"): 2, ("tcp-check", "connect"): 2, ("load",): 1, ("ssl-f-use",): 1,
}  # fmt: skip
_FLAGS = ("-i", "-n", "-M")
_FLAGS_WITH_VALUES = ("-f", "-m", "-u")


@dataclass(frozen=True)
class Line:
    """A line of a configuration, and the section that it is in."""

    number: int
    section: str
    """The word that its section begins with; empty before the first section."""
    start: int
    """The number of the line that its section begins with."""
    is_conditional: bool
    """True from `.if` to `.endif`."""
    words: tuple[Word, ...]

    @cached_property
    def texts(self) -> list[str]:
        """Return the words as they are meant."""
        return [word.text for word in self.words]


def parse(text: str) -> list[Line]:
    """Return all lines of a configuration, in their order."""
    parsed = []
    section, start, depth = "", 0, 0
    for number, line in enumerate(text.split("\n"), start=1):
        found = tuple(words(line))
        first = found[0].text if found else ""
        if first in SECTIONS:
            section, start = first, number
        depth += first == ".if"
        parsed.append(Line(number, section, start, depth > 0, found))
        depth = max(depth - (first == ".endif"), 0)
    return parsed


def options_from(texts: Sequence[str]) -> int:
    """Return the index of the first option of a line, such as `ssl`; 0 if it has none."""
    found = (_BEFORE_OPTIONS.get(tuple(texts[:count]), 0) for count in (1, 2))
    return max(found)


def options(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return pairs of an option's name and its value, of a line that may have options.

    Nobody knows here which options have a value, so that each word is a name.
    """
    start = options_from(texts)
    if start:
        yield from zip(texts[start:], texts[start + 1 :], strict=False)


def comparisons(texts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Return what a line compares, such as `hdr(host)`, each with its patterns.

    That is what an `acl` line has, and what stands in braces in a condition (HAProxy's
    configuration manual, section 7.1).
    """
    if texts[:1] == ["acl"] and len(texts) > 2:
        yield texts[2], _patterns(texts[3:])
    for index, text in enumerate(texts):
        if text.lstrip("!") == "{":
            inner = texts[index + 1 :]
            inner = inner[: inner.index("}")] if "}" in inner else inner
            if inner:
                yield inner[0], _patterns(inner[1:])


def _patterns(texts: Sequence[str]) -> list[str]:
    """Return the words without the flags before them."""
    index = 0
    while index < len(texts) and texts[index] in (*_FLAGS, *_FLAGS_WITH_VALUES):
        index += 2 if texts[index] in _FLAGS_WITH_VALUES else 1
    return [*texts[index + (texts[index : index + 1] == ["--"]) :]]


def condition(texts: Sequence[str]) -> set[str]:
    """Return the names of the ACLs that a line's condition uses, without those in braces."""
    starts = [index for index, text in enumerate(texts) if text in ("if", "unless") and index]
    names = set()
    depth = 0
    for text in texts[starts[0] + 1 :] if starts else ():
        bare = text.lstrip("!")
        depth += (bare == "{") - (bare == "}")
        if not depth and bare not in ("", "}", "or", "||"):
            names.add(bare)
    return names
