"""The order of versions against dpkg's."""

from __future__ import annotations

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from hatester.util.versions import debian_order

VERSIONS = st.from_regex(r"([1-3]:)?[0-9][0-9.~+ab]{0,5}(-[0-9.~+ab]{1,4})?", fullmatch=True)


def precedes(one: str, other: str) -> bool:
    command = ["dpkg", "--compare-versions", one, "lt", other]
    return subprocess.run(command, check=False).returncode == 0


@settings(max_examples=60)
@given(VERSIONS, VERSIONS)
def test_order_is_dpkgs(one: str, other: str) -> None:
    if precedes(one, other):
        assert debian_order(one) < debian_order(other)
    if precedes(other, one):
        assert debian_order(other) < debian_order(one)
