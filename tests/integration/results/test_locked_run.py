"""Stored runs that another process measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hatester.report.html import write_reports
from hatester.results.store import find
from hatester.util.errors import UserError
from tests.factories.stored_run import made

HOLDING = """
import sys
from pathlib import Path
from hatester.results.store import find
with find(Path(sys.argv[1]), "latest").measuring():
    print("had", flush=True)
    sys.stdin.read()
"""


def test_held_run_is_read_and_not_written(tmp_path: Path) -> None:
    run = made(tmp_path)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdin=pipe, stdout=pipe, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "had\n"
        message = rf"{run.folder.name} is being measured by another process \(pid {other.pid}, "
        found = find(tmp_path, "latest")
        write_reports(found, [], None)
        with pytest.raises(UserError, match=message):
            found.recompute()
        other.communicate("")
    found.recompute()
