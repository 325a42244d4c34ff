"""HAProxy configurations as HAProxy reads them: words, lines, sections, options, conditions.

The rules are those of parse_line in HAProxy's src/tools.c and readcfgfile in src/cfgparse.c. A line
is never continued on the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

_ESCAPES = {each: each for each in " \\#'\""} | {"t": "\t", "n": "\n", "r": "\r"}
_HEXADECIMAL = re.compile(r"\\x([0-9A-Fa-f]{2})")
_NAME = r"\.?[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(
    rf"\$(?:\{{(?P<braced>{_NAME})(?P<words>\[\*\])?(?:-(?P<default>[^}}]*))?\}}|(?P<bare>{_NAME}))"
)
_PLAIN = {
    "": re.compile(r"[^\s\\'\"#]+", re.ASCII),
    "'": re.compile(r"[^'\r\n]+"),
    '"': re.compile(r"[^\\\"$\r\n]+"),
}
"""Text without a special character, by the quote that is open."""
SECTIONS = frozenset(
    ("global", "defaults", "frontend", "backend", "listen", "acme", "cache", "crt-store",
     "fcgi-app", "healthcheck", "http-errors", "log-forward", "log-profile", "mailers",
     "namespace_list", "peers", "program", "resolvers", "ring", "traces", "userlist")
)  # fmt: skip
"""The words that begin a section, however their lines are indented (src/cfgparse.c)."""
# The number of words before the options of a line, by its first words.
_BEFORE_OPTIONS = {
    ("bind",): 2, ("default-bind",): 1, ("stats", "socket"): 3, ("unix-bind",): 1,
    ("server",): 3, ("server-template",): 4, ("default-server",): 1, ("source",): 2,
    ("http-check", "connect"): 2, ("tcp-check", "connect"): 2, ("load",): 1, ("ssl-f-use",): 1,
}  # fmt: skip
_FLAGS = ("-i", "-n", "-M")
_FLAGS_WITH_VALUES = ("-f", "-m", "-u")


@dataclass(frozen=True)
class Word:
    """A word of a line, as HAProxy takes it."""

    start: int
    end: int
    """Indexes in the line."""
    text: str
    variables: tuple[str, ...] = ()
    """The names of variables without a value, which stay in `text` as they are written."""


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
    source: str = ""

    @cached_property
    def texts(self) -> list[str]:
        """Return the words as HAProxy takes them."""
        return [word.text for word in self.words]


def words(line: str, values: Mapping[str, str] | None = None) -> list[Word]:
    r"""Split a line into words without its comment, with values for its variables.

    HAProxy refuses an open quote, an incomplete `\x` and a wrong name of a variable. Here they
    stay as they are written.
    """
    return _Reader(line, values or {}).read()


class _Reader:
    """A line as it is taken apart."""

    def __init__(self, line: str, values: Mapping[str, str]) -> None:
        self._line = line
        self._values = values
        self._at = 0
        self._quote = ""
        self._start: int | None = None
        self._text = ""
        self._variables: list[str] = []
        self._words: list[Word] = []

    def read(self) -> list[Word]:
        while self._at < len(self._line):
            char = self._line[self._at]
            if char in "\r\n\0" or (char == "#" and not self._quote):
                break
            if char in " \t\v\f" and not self._quote:
                self._end()
                self._at += 1
            else:
                self._start = self._at if self._start is None else self._start
                self._take(char)
        self._end()
        return self._words

    def _take(self, char: str) -> None:
        if plain := _PLAIN[self._quote].match(self._line, self._at):
            self._add(plain[0], len(plain[0]))
        elif char == self._quote or (char in "'\"" and not self._quote):
            self._quote = "" if self._quote else char
            self._at += 1
        elif char == "\\":
            self._take_escape()
        elif variable := _VARIABLE.match(self._line, self._at):
            self._take_variable(variable)
        else:
            self._add(char, 1)

    def _take_escape(self) -> None:
        following = self._line[self._at + 1 : self._at + 2]
        if found := _HEXADECIMAL.match(self._line, self._at):
            self._add(chr(int(found[1], 16)), 4)
        elif following == "$" and self._quote:
            self._add("$", 2)
        elif following in _ESCAPES:
            self._add(_ESCAPES[following], 2)
        else:
            self._add("\\", 1)

    def _take_variable(self, found: re.Match[str]) -> None:
        """Take the value of a variable; with `[*]`, each of its words is a word of the line."""
        name = found["braced"] or found["bare"]
        value = self._values.get(name, found["default"])
        if value is None:
            self._variables.append(name)
            value = found[0]
        first, *further = value.split() if found["words"] and value.split() else [value]
        self._add(first, len(found[0]))
        for word in further:
            start = self._start
            self._end()
            self._start, self._text = start, word

    def _add(self, text: str, length: int) -> None:
        self._text += text
        self._at += length

    def _end(self) -> None:
        if self._start is not None:
            word = Word(self._start, self._at, self._text, tuple(self._variables))
            self._words.append(word)
        self._start, self._text, self._variables = None, "", []


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
        parsed.append(Line(number, section, start, depth > 0, found, line))
        depth = max(depth - (first == ".endif"), 0)
    return parsed


def options_from(texts: Sequence[str]) -> int:
    """Return the index of the first option of a line, such as `ssl`; 0 if it has none."""
    found = (_BEFORE_OPTIONS.get(tuple(texts[:count]), 0) for count in (1, 2))
    return max(found)


def options(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return pairs of an option's name and its value, of a line that may have options.

    The options that have a value are not known here, so each word counts as a name.
    """
    start = options_from(texts)
    if start:
        yield from zip(texts[start:], texts[start + 1 :], strict=False)


def comparisons(texts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Return the samples that a line compares, such as `hdr(host)`, each with its patterns.

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
