"""Real guests: each test ends those that it starts, and shares the cache with everyday use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.project import copy_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked `vm`, so that `pytest -m 'not vm'` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with results and machines of its own."""
    return copy_project(tmp_path_factory.mktemp("vm") / "checkout")
