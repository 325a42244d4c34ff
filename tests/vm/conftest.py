"""Real guests: each test ends those that it starts, and shares the cache with everyday use.

Tests of one file share guests; files can run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import copy_project
from tests.machines import own_runs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked `vm`, so that `pytest -m 'not vm'` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with results and machines of its own."""
    return copy_project(tmp_path_factory.mktemp("vm") / "checkout")


@pytest.fixture(scope="session", autouse=True)
def _runs_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with own_runs(tmp_path_factory.mktemp("cache")):
        yield
