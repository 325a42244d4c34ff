"""Placeholders: what stands in a copy where a secret was, and the list of what was replaced."""

from __future__ import annotations

import base64
import collections
import itertools
import math
import re
from dataclasses import dataclass, field
from typing import Literal

from hatester.util.text import printable

Form = Literal["text", "crypt", "base64", "hex"]

RUN = re.compile(r"[A-Za-z0-9+/_~-]{16,}={0,2}")
"""What may be a key in hexadecimal or base64 digits."""
_HEX = re.compile(r"(?=.*[a-fA-F])[0-9a-fA-F]+")
# From a small letter to a big one, to a digit, and back; not from a big one, as in CamelCase.
_CHANGES = {("a", "A"), ("a", "0"), ("A", "0"), ("0", "a"), ("0", "A")}
_WORD = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z][a-z]{2,}")
_CHANGES_LEAST, _LETTERS_A_CHANGE = 3, 8
_RANDOM_BITS = 4.5
"""By a simulation, one of a thousand random base64 strings of 16 bytes passes for a name, of 24
bytes one of forty thousand; the names of ciphers, headers and HAProxy's own words all do."""


@dataclass(frozen=True)
class Replaced:
    """A secret that was not copied: where it was, and what it was; never which."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return printable(f"{self.file}, line {self.line}: {self.what}")


@dataclass
class Placeholders:
    """Those of one capture: the same secret has the same placeholder everywhere."""

    replaced: list[Replaced] = field(default_factory=list)
    issued: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    def put(self, secret: str, where: Replaced, form: Form = "text") -> str:
        """What stands for a secret, in a form that is read as what was there.

        That is hexadecimal for hexadecimal; else what `form` says: any text, base64, hexadecimal,
        or a hash for crypt(3) that no password has.
        """
        self.replaced.append(where)
        number = self._numbers.setdefault(secret, len(self._numbers) + 1)
        placeholder = f"hatester-placeholder-{number}"
        if form == "crypt":
            placeholder = f"$5$hatester.{number}"
        elif form == "base64":
            placeholder = base64.b64encode(placeholder.encode()).decode()
        elif form == "hex" or is_hexadecimal(secret):
            placeholder = placeholder.encode().hex()
        self.issued.add(placeholder)
        return placeholder


def is_hexadecimal(text: str) -> bool:
    """Whether it may be a key, or bytes, in hexadecimal digits."""
    return len(text) >= 16 and _HEX.fullmatch(text) is not None


def looks_random(text: str) -> bool:
    """Whether nobody has thought it up: a key, a token, a hash."""
    if is_hexadecimal(text.replace("-", "")):
        return True
    kinds = [_kind(character) for character in text]
    changes = sum(pair in _CHANGES for pair in itertools.pairwise(kinds))
    enough = max(_CHANGES_LEAST, len(text) / _LETTERS_A_CHANGE)
    if "0" not in kinds and len(_WORD.sub("", text)) < len(text) / 10:  # WordsLikeThese
        return False
    return len(text) >= 16 and (changes >= enough or _bits(text) > _RANDOM_BITS)


def _kind(character: str) -> str:
    if character.islower():
        return "a"
    if character.isupper():
        return "A"
    return "0" if character.isdigit() else ""


def _bits(text: str) -> float:
    """Shannon's entropy of a character."""
    counts = collections.Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
