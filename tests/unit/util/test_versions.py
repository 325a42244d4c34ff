"""Versions of packages: the order that dpkg gives them."""

from __future__ import annotations

import pytest

from hatester.util.versions import debian_order, is_older, is_same_version


@pytest.mark.parametrize("text", ["", "9" * 5000, "1 2", "a:1"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ersion|characters"):
        debian_order(text)


def test_a_long_number_is_compared() -> None:
    assert is_older("6.1", "9" * 5000)


def test_kernels_of_backports_are_sorted() -> None:
    versions = ["1:6.1-1", "6.12.3-1+b1", "6.9.2-1", "6.9~rc1-1", "6.12.3-1", "6.9.2-1~bpo13+1"]
    assert sorted(versions, key=debian_order) == [
        "6.9~rc1-1", "6.9.2-1~bpo13+1", "6.9.2-1", "6.12.3-1", "6.12.3-1+b1", "1:6.1-1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "package", "same"),
    [
        ("2.2.9-2+deb11u6", "2.2.9-2+deb11u6", True),
        ("3.2.26-1", "1:3.2.26-1+b2", True),
        ("3.2.26-1", "3.2.26-2", False),
        ("2.2.9", "2.2.9-2+deb11u6", False),
    ],
)
def test_version_is_compared_with_the_package(said: str, package: str, same: bool) -> None:
    assert is_same_version(said, package) is same
