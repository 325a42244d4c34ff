"""The project's folders, and paths as users write them.

A checkout has everything in one folder. An installed package has what it ships in
`hatester/project`, and the user's own in the current folder.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

_ABOVE = Path(__file__).resolve().parents[2]
_SHIPPED = _ABOVE / "hatester/project"
IS_INSTALLED = _SHIPPED.is_dir()
PROJECT = _SHIPPED if IS_INSTALLED else _ABOVE
"""The folder of tasks.py and of the Vagrantfile, which nothing is written to in a package."""
PROVISION = _ABOVE / "provision"
WORK = Path.cwd() if IS_INSTALLED else PROJECT
"""The folder of what the user has and makes."""
OWN_MATRIX = WORK / "matrix"
MATRIX = OWN_MATRIX if (OWN_MATRIX / "kernels.yml").is_file() else PROJECT / "matrix"
DECLARATIONS = ("kernels", "haproxy", "settings")
"""The files in it that declare what there is; every other one selects from it."""
HOSTS = OWN_MATRIX / "hosts"
"""Captured production hosts; they never become part of the project."""
RESULTS = WORK / "results"
MACHINES = WORK / ".hatester/machines.json"
"""The files of each guest, which `invoke make-images` writes for the Vagrantfile."""

COMMAND = "hatester" if IS_INSTALLED else "./bootstrap invoke"
"""The words that run a command, for what the user is to run next."""
SETUP = "run ./bootstrap in a checkout of hatester" if IS_INSTALLED else "run ./bootstrap"
"""What makes this host ready."""
LATEST = "latest"


def resolve_path(path: str, folder: Path) -> Path:
    """Return a path as users write it: `~` is their home, and a relative one is in `folder`."""
    # That of Path fails where there is no such user.
    return folder / os.path.expanduser(path)  # noqa: PTH111


def matches_of(pattern: Path) -> list[Path]:
    """Return the files and folders that an absolute path names, or matches with its wildcards."""
    # Path.glob is for patterns below a folder.
    found = sorted(glob.iglob(str(pattern)))  # noqa: PTH207
    return [pattern] if is_there(pattern) else [Path(each) for each in found]


def is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Return True if a path passes a test.

    A path that cannot be tested does not: a name may be too long, or a folder closed to us.
    """
    try:
        return test(path)
    except (OSError, ValueError):
        return False
