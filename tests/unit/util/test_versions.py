"""Versions of packages: the order that dpkg gives them."""

from __future__ import annotations

from hatester.util.versions import debian_order, is_older


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
