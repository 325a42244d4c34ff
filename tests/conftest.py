"""The fixtures and options of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from hatester.util import log

# How long an example takes says nothing here. Each run tries others, and so a few are enough;
# `pytest --hypothesis-profile=thorough` tries many.
hypothesis.settings.register_profile("hatester", deadline=None, max_examples=25)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=5000)
hypothesis.settings.load_profile("hatester")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults", action="store_true", help="try all faults, also those that take long"
    )
    parser.addoption(
        "--configurations", action="store_true", help="try all configurations, and not just a few"
    )


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """Show the log, as a command does."""
    with log.shown():
        yield
