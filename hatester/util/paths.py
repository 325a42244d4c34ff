"""Where the project keeps what, from its top level."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MATRIX = PROJECT / "matrix"
HOSTS = MATRIX / "hosts"
"""What `invoke capture` brings from production hosts, which is the user's alone."""
PROVISION = PROJECT / "provision"
RESULTS = PROJECT / "results"
MACHINES = PROJECT / ".hatester/machines.json"
"""What `invoke images` tells the Vagrantfile: the files of each guest."""
RUN_SCHEMA = PROJECT / "docs" / "run.schema.json"
"""What a `run.json` has, as JSON Schema has it."""

LATEST = "latest"


def located(path: str, folder: Path) -> Path:
    """A path as users write it: `~` is their home, and what is not absolute is in `folder`."""
    # That of Path fails where there is no such user.
    return folder / os.path.expanduser(path)  # noqa: PTH111


def is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether a path passes a test, which one that cannot be asked for does not: whose name is too
    long, say, or whose folder may not be entered."""
    try:
        return test(path)
    except (OSError, ValueError):
        return False
