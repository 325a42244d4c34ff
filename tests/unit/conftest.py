"""Fixtures of the tests that need neither tools of the host nor guests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatester.util import process
from tests.factories.cache import own_cache

__all__ = ["own_cache"]

EVERYWHERE = {"sh", "cp", "sha256sum"}
"""Programs that every host has which can run these tests."""


@pytest.fixture(scope="module", autouse=True)
def _pure() -> Iterator[None]:
    """Refuse to start tools of the host, and keep its disk and its processes out of the tests."""
    start = subprocess.Popen.__init__

    def checked(self: subprocess.Popen[Any], args: Any, *further: Any, **options: Any) -> None:
        words = [args] if isinstance(args, str) else [str(word) for word in args]
        program = Path(words[3] if words[0] == "setpriv" else words[0]).name
        assert program in EVERYWHERE, f"{program}: a test that needs it is an integration test"
        start(self, args, *further, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", checked)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(process, "others", lambda: iter(()))
        yield
