"""Versions of packages: the order that dpkg gives them."""

from __future__ import annotations

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from hatester.util.versions import debian_order, is_older

VERSIONS = st.from_regex(r"([1-3]:)?[0-9][0-9.~+ab]{0,5}(-[0-9.~+ab]{1,4})?", fullmatch=True)


def precedes(one: str, other: str) -> bool:
    command = ["dpkg", "--compare-versions", one, "lt", other]
    return subprocess.run(command, check=False).returncode == 0


@settings(max_examples=60)
@given(VERSIONS, VERSIONS)
def test_versions_are_sorted_as_dpkg_does(one: str, other: str) -> None:
    if precedes(one, other):
        assert debian_order(one) < debian_order(other)
    if precedes(other, one):
        assert debian_order(other) < debian_order(one)


def test_a_number_may_be_longer_than_python_takes() -> None:
    long = "9" * 5000
    assert debian_order(f"1.{long}") > debian_order("1.9")
    assert debian_order(f"{long}:1") > debian_order("1:2")
    assert is_older("6.1", long)


def test_kernels_of_backports_are_sorted() -> None:
    versions = ["1:6.1-1", "6.12.3-1+b1", "6.9.2-1", "6.9~rc1-1", "6.12.3-1", "6.9.2-1~bpo13+1"]
    assert sorted(versions, key=debian_order) == [
        "6.9~rc1-1", "6.9.2-1~bpo13+1", "6.9.2-1", "6.12.3-1", "6.12.3-1+b1", "1:6.1-1",
    ]  # fmt: skip
