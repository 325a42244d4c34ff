"""A folder with things of the wrong kind, for commands that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.bad_input import make_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder; no command changes it."""
    return make_place(tmp_path_factory.mktemp("place") / "checkout")
