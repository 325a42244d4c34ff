"""Lua programs without their secrets: what strings hold, and no comments."""

from __future__ import annotations

import re

from hatester.capture.redaction import SENSITIVE, Redaction
from hatester.util.text import numbered

# Comments and strings, of Lua's reference manual, section 3.1; one that does not end ends the file
# or its line.
_TOKEN = re.compile(
    r"--\[(?P<c>=*)\[.*?(?:\](?P=c)\]|\Z)|--[^\n]*"
    r"|\[(?P<s>=*)\[(?P<long>.*?)(?:\](?P=s)\]|\Z)"
    r"|\"(?P<double>(?:\\.|[^\"\\\n])*)\"?|'(?P<single>(?:\\.|[^'\\\n])*)'?",
    re.DOTALL,
)
_NAMES = re.compile(
    rf"(?:{SENSITIVE.pattern})[^\n=~,;]{{0,64}}(?:==?|~=|\.\.|(?P<comma>,))\s*[({{]?\s*\Z",
    re.IGNORECASE,
)
_IS_NAMED = re.compile(rf"\s*[=~]=\s*[\w.\[\"']{{0,64}}(?:{SENSITIVE.pattern})", re.IGNORECASE)
_NEAR = 200


def lua(text: str, redaction: Redaction) -> str:
    """A program with placeholders in its strings, which otherwise does what it did."""
    parts = []
    position = 0
    for line, found in numbered(_TOKEN, text):
        strings = [name for name in ("long", "double", "single") if found[name] is not None]
        start, end = found.span(strings[0]) if strings else found.span()
        parts.append(text[position:start])
        if not strings:
            parts.append("\n" * found[0].count("\n"))
        else:
            parts.append(_string(text, found, text[start:end], line, redaction))
        position = end
    return "".join([*parts, text[position:]])


def _string(text: str, found: re.Match[str], string: str, line: int, redaction: Redaction) -> str:
    before = text[max(found.start() - _NEAR, 0) : found.start()]
    is_secret = _is_named(before) or _IS_NAMED.match(text, found.end())
    return (
        redaction.put(string, line, "string")
        if string and is_secret
        else redaction.any_text(string, line)
    )


def _is_named(before: str) -> bool:
    """Whether a secret name is set to, or compared with, what follows; or goes before it in a call,
    but for those by which HAProxy is told the names of functions."""
    found = _NAMES.search(before)
    is_register = "register_" in before.rpartition("\n")[2]
    return found is not None and not (found["comma"] and is_register)
