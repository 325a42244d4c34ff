"""The command line of hatester, and a copy of the project to use it in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from hatester.util.paths import PROJECT


def invoke(
    *words: str, folder: Path = PROJECT, seconds: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `invoke` in the project or a copy of it, and return its exit code and output."""
    return subprocess.run(
        ["invoke", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=seconds,
        env={**os.environ, **env},
    )


def copy_project(folder: Path) -> Path:
    """Copy the project without its results and machines, and return the copy."""
    made = shutil.ignore_patterns(".*", "__pycache__")

    def ignored(parent: str, names: list[str]) -> set[str]:
        # There is a package of that name as well.
        return made(parent, names) | ({"results"} if Path(parent) == PROJECT else set())

    return Path(shutil.copytree(PROJECT, folder, ignore=ignored))
