"""Real faults: after each test none of hatester's processes runs, and no port is held.

Of faults at random moments, a few are tried; all with `pytest --faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.guests import machines
from tests.factories.live_run import machines_of_runs
from tests.factories.project import copy_project

ALL = {"kill": 100, "damage": 24, "twice": 6}
FEW = {"kill": 1, "damage": 0, "twice": 1}
"""How many seeds there are of each kind of fault."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All tests of this folder use guests; those marked `long` are for `--faults` only."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
            if item.get_closest_marker("long") and not config.getoption("--faults"):
                item.add_marker(pytest.mark.skip(reason="takes long: invoke test --faults"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a `seed` with as many as its kind of fault has."""
    if "seed" in metafunc.fixturenames:
        counts = ALL if metafunc.config.getoption("--faults") else FEW
        for mark in metafunc.definition.iter_markers("seeds"):
            metafunc.parametrize("seed", range(counts[mark.args[0]]))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with results and machines of its own."""
    return copy_project(tmp_path_factory.mktemp("faults") / "checkout")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Check that what a fault leaves is gone when the next run begins, if not before."""
    yield
    with machines.machines_folder("after-fault"):
        assert not machines_of_runs()
        assert not machines.strays()
