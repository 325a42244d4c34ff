"""English: lists, groups, numbers and plurals, as sentences need them; and what can be printed."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MARKDOWN = re.compile(r"[\\`*_\[\]<>|&]|~(?=\S)|(?<=\S)~")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9.+_-]+")
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 120
_BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxdict = 4
_BRIEF.maxlevel = 3


def listed(parts: Iterable[str]) -> str:
    """Return `a, b and c`; an empty text for no parts."""
    *others, last = [*parts] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Return the values of each key, in the order of the pairs."""
    groups: dict[Key, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def printable(text: str) -> str:
    """Return a text in one line, without what a terminal would take as a command."""
    return "".join(each if each.isprintable() else "?" for each in text)


def displayable(text: str) -> str:
    """Return a text in its lines, each `printable`."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def for_xml(text: str) -> str:
    """Return a text with a replacement for each character that XML and HTML do not have.

    XML 1.0 (section 2.2) cannot express these, and logs may contain any.
    """
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def for_markdown(text: str) -> str:
    """Return a text in one line in which Markdown finds no markup (GFM, section 6.1)."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def file_name(text: str, longest: int = 100) -> str:
    """Return a text as a name for files and cells: letters, digits and `.+_-`, all else as `-`."""
    return _NOT_IN_FILE_NAMES.sub("-", text)[:longest]


def quoted(value: object) -> str:
    """Return a value as Python writes it, in one line, with the middle of a long one left out."""
    return _BRIEF.repr(value)


def brief(text: str) -> str:
    """Return a text like `quoted`, without its quotes."""
    return quoted(text)[1:-1]


def counted(count: int, noun: str) -> str:
    """Return `1 address`, `2 addresses`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def number(count: int) -> str:
    """Return a number in letters, up to ten."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def were(count: int) -> str:
    return "was" if count == 1 else "were"


def spread(values: Iterable[float], digits: int = 0, between: str = "-") -> str:
    """Return the least and the greatest number, or the one that both are once rounded."""
    low, *_, high = (f"{value:.{digits}f}" for value in sorted([*values] * 2))
    return low if low == high else f"{low}{between}{high}"


def choices(name: str, known: Sequence[str]) -> str:
    """Return the choices for a user who named something else, with the closest one."""
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return printable(f"{guess} (there are: {', '.join(known) or 'none'})")
