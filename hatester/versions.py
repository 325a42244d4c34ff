"""Versions of HAProxy and Linux, and which of them is older."""

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
    beginning = re.match(r"[0-9]+(?:\.[0-9]+)*", upstream)
    return [int(number) for number in beginning[0].split(".")] if beginning else []
