"""Real guests: each test ends those that it starts, and shares the cache with everyday use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.project import copy_project

SHARED = {"cells", "guest", "starter", "vagrant"}
"""Fixtures that take long to make: the tests of a file that need one run in one process."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test of this folder `vm`, and name the process to which it belongs, if to one.

    pytest-xdist reads that mark before any hook that sees all tests.
    """
    if Path(__file__).parent in item.path.parents:
        item.add_marker(pytest.mark.vm)
        if SHARED & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest."""
    items.sort(key=lambda item: "cells" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with results and machines of its own."""
    return copy_project(tmp_path_factory.mktemp("vm") / "checkout")
