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
    """Return a path as users write it: `~` is their home, and a relative one is in `folder`."""
    # That of Path fails where there is no such user.
    return folder / os.path.expanduser(path)  # noqa: PTH111


def is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Return True if a path passes a test.

    A path that cannot be tested does not: a name may be too long, or a folder closed to us.
    """
    try:
        return test(path)
    except (OSError, ValueError):
        return False
