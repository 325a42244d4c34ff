"""Text that becomes part of XML, HTML or Markdown."""

from __future__ import annotations

import re

from hatester.util import text as words

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|&]|~(?=\S)|(?<=\S)~")
_UNTOLD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """A text with a replacement for each character that XML and HTML do not have.

    XML 1.0 (section 2.2) has no way to write these, and logs may have any.
    """
    return _UNTOLD.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(text: str) -> str:
    """A text as Markdown has it, in one line and without any markup (GFM, section 6.1)."""
    return _MARKDOWN.sub(r"\\\g<0>", words.printable(text))
