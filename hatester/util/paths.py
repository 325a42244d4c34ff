"""The project's folders, and paths as users write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MATRIX = PROJECT / "matrix"
DECLARATIONS = ("kernels", "haproxy", "settings")
"""The files in it that declare what there is; every other one selects from it."""
HOSTS = MATRIX / "hosts"
"""Captured production hosts; they never become part of the project."""
PROVISION = PROJECT / "provision"
RESULTS = PROJECT / "results"
MACHINES = PROJECT / ".hatester/machines.json"
"""The files of each guest, which `invoke make-images` writes for the Vagrantfile."""

COMMAND = "./bootstrap invoke"
"""The words that run a command, for what the user is to run next."""
LATEST = "latest"


def resolve_path(path: str, folder: Path) -> Path:
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
