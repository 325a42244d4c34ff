"""Text that becomes part of XML or HTML."""

from __future__ import annotations

import re

_UNTOLD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """A text with a replacement for each character that XML and HTML do not have.

    XML 1.0 (section 2.2) has no way to write these, and logs may have any.
    """
    return _UNTOLD.sub("\N{REPLACEMENT CHARACTER}", text)
