"""Versions of HAProxy, Linux and packages, and which of them is older."""

from __future__ import annotations

import re


def is_older(version: str, first: str) -> bool:
    """Whether a version precedes another, as far as both have numbers: 6 is not older than 6.1."""
    ours, theirs = numbers(version), numbers(first)
    known = min(len(ours), len(theirs))
    return ours[:known] < theirs[:known]


def numbers(version: str) -> list[int]:
    """The numbers with which the upstream version begins; an epoch (deb-version(7)) is no part."""
    upstream = version.partition(":")[2] or version
    beginning = re.match(r"[0-9]{1,18}(?:\.[0-9]{1,18})*", upstream)
    return [int(number) for number in beginning[0].split(".")] if beginning else []


def debian_order(version: str) -> tuple[object, ...]:
    """A key that sorts package versions as dpkg does (deb-version(7)): ~ before the end, the end
    before letters, letters before the rest, and numbers by their value."""
    epoch, _, rest = version.partition(":") if ":" in version else ("0", "", version)
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return (_number(epoch), _parts(upstream), _parts(revision))


def _parts(text: str) -> list[tuple[list[int], tuple[int, str]]]:
    """Alternately what is no number, as weights, and a number."""
    return [
        ([*map(_weight, signs), 0], _number(number))
        for signs, number in re.findall(r"([^0-9]*)([0-9]*)", text)
    ]


def _number(digits: str) -> tuple[int, str]:
    """What sorts numbers by their value, also those that are longer than Python takes."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _weight(sign: str) -> int:
    if sign == "~":
        return -1
    return ord(sign) if sign.isalpha() else ord(sign) + 256


def matches(version: str, beginning: str | None) -> bool:
    """Whether a version begins with another: 6.1 with 6.1.176-1, but not with 6.12.107-1.

    An epoch (deb-version(7)) is passed over.
    """
    if beginning is None:
        return True
    upstream = version.partition(":")[2] or version
    return re.match(re.escape(beginning) + r"(?!\d)", upstream) is not None
