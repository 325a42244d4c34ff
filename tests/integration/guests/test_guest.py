"""The program that guests run, as a file that Python runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hatester.guests.guest import pack_program


def test_packed_program_runs(tmp_path: Path) -> None:
    (tmp_path / "program.zip").write_bytes(pack_program())
    unpack = [sys.executable, "-m", "zipfile", "-e", "program.zip", "program"]
    subprocess.run(unpack, check=True, cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, "program", "no-such-command"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert "no-such-command" in done.stderr
