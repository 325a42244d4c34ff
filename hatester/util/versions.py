"""Versions of HAProxy, Linux and packages, and their order."""

from __future__ import annotations

import re

from debian.debian_support import Version

_LONGEST = 255
"""Characters. Python converts no number of more than 4300 digits."""


def is_older(version: str, first: str) -> bool:
    """Return True if a version precedes another, as far as both have numbers: not 6 and 6.1."""
    ours, theirs = numbers(version), numbers(first)
    known = min(len(ours), len(theirs))
    return ours[:known] < theirs[:known]


def numbers(version: str) -> list[int]:
    """Return the numbers with which the upstream version begins, without an epoch."""
    beginning = re.match(r"[0-9]{1,18}(?:\.[0-9]{1,18})*", _without_epoch(version))
    return [int(number) for number in beginning[0].split(".")] if beginning else []


def debian_order(version: str) -> Version:
    """Return a key that sorts package versions as dpkg does.

    Raises ValueError for anything but a version (deb-version(7)).
    """
    if len(version) > _LONGEST:
        raise ValueError(f"more than {_LONGEST} characters")
    return Version(version)


def matches(version: str, beginning: str | None) -> bool:
    """Return True if a version begins with another: 6.1.176-1 with 6.1, and not with 6.17."""
    if beginning is None:
        return True
    return re.match(re.escape(beginning) + r"(?!\d)", _without_epoch(version)) is not None


def is_same_version(said: str, package: str) -> bool:
    """Return True if the version that `haproxy -v` prints is that of a package (deb-version(7)).

    HAProxy knows neither the epoch nor that the package was built again (`+b1`).
    """
    return said == re.sub(r"\+b\d+$", "", _without_epoch(package))


def _without_epoch(version: str) -> str:
    return version.partition(":")[2] or version
