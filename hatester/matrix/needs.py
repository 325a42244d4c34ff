"""The needs of a scenario: versions of HAProxy and Linux, and ways of reloading."""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

from hatester.matrix.declarations import METHODS, Methods
from hatester.util.text import quoted
from hatester.util.validation import Declaration
from hatester.util.versions import is_older

_BOUND = re.compile(r"(?P<sign>>=|<)\s*(?P<version>[0-9]{1,9}(?:\.[0-9]{1,9})*)")


def _versions(text: str) -> str:
    if not all(_BOUND.fullmatch(each.strip()) for each in text.split(",")):
        raise ValueError(f"expected versions such as '>=2.3' or '>=2.0, <3.3', got {quoted(text)}")
    return text


Versions = Annotated[str, pydantic.AfterValidator(_versions)]
"""Bounds of versions, such as `>=2.0, <3.3`; the upper one is excluded."""


class Needs(Declaration):
    """The needs of a scenario; cells without them are left out of a run."""

    haproxy: Versions | None = None
    linux: Versions | None = None
    methods: Methods = tuple(METHODS)


def is_within(version: str | None, bounds: str | None) -> bool:
    """Return True if a version is within bounds; one that is not known counts as such."""
    if version is None or bounds is None:
        return True
    return all(
        is_older(version, each["version"]) is (each["sign"] == "<")
        for each in _BOUND.finditer(bounds)
    )
