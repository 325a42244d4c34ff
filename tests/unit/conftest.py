"""Fixtures of the tests that need neither tools of the host nor guests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.factories.cache import own_cache

__all__ = ["own_cache"]

EVERYWHERE = {"sh", "cp", "sha256sum", Path(sys.executable).name}
"""Programs that every host has which can run these tests."""
EXEMPT = {"test_tasks.py"}
"""Its commands look for the host's tools."""


@pytest.fixture(autouse=True)
def _no_tools(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to start a tool of the host: a test that needs one is an integration test."""
    start = subprocess.Popen.__init__

    def checked(self: subprocess.Popen[Any], args: Any, *further: Any, **options: Any) -> None:
        words = [args] if isinstance(args, str) else [str(word) for word in args]
        program = Path(words[3] if words[0] == "setpriv" else words[0]).name
        assert program in EVERYWHERE, f"{program}: a test that needs it is an integration test"
        start(self, args, *further, **options)

    if request.path.name not in EXEMPT:
        monkeypatch.setattr(subprocess.Popen, "__init__", checked)
