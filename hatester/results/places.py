"""The folder of all runs: a folder for each, and `latest`, which points at the newest."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hatester.results.folder import writing
from hatester.util import files
from hatester.util.errors import UserError
from hatester.util.paths import LATEST
from hatester.util.validation import require

RUN, PLAN = "run.json", "plan.json"


def require_place(parent: Path) -> None:
    """Raise UserError where a new run could not be stored, or `latest` could not point at it."""
    latest = parent / LATEST
    if parent.exists() and not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise UserError(f"{parent} cannot hold results: it is not a folder that can be written to.")
    if latest.exists() and not latest.is_symlink():
        raise UserError(
            f"{latest} is in the way of the symbolic link to the newest run: give it another name."
        )


def make_folder(parent: Path, name: str) -> Path:
    """Return a new folder; two runs that start in the same second get two."""
    with writing(parent / name):
        files.make_folder(parent)
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            with contextlib.suppress(FileExistsError):
                folder = parent / f"{name}{suffix}"
                folder.mkdir()
                files.sync_folder(parent)
                return folder
    raise UserError(f"{parent} holds a hundred runs of this very second.")


def point_latest(parent: Path, name: str) -> None:
    """Let `latest` point at a run; there is no moment in which it points at none."""
    latest = parent / LATEST
    unfinished = parent / f".{LATEST}.{os.getpid()}"
    with writing(latest):
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(name)
        unfinished.replace(latest)
        files.sync_folder(parent)


def locate(parent: Path, run: str) -> Path:
    """Return the folder of a run by its name, such as `latest`, or by its path.

    Raises UserError where there is none.
    """
    try:
        return _located(parent, run).resolve()
    except OSError as error:
        raise UserError(f"{run} is not a run that can be read: {error.strerror}.") from error


def run_names(parent: Path) -> list[str]:
    """Return the names of all runs, the oldest first, and `latest` after them."""
    found = (file.parent.name for name in (RUN, PLAN) for file in parent.glob(f"[!.]*/{name}"))
    return sorted(set(found))


def _located(parent: Path, run: str) -> Path:
    places = (parent / run, Path(run))
    for place in places:
        if (place / RUN).exists() or (place / PLAN).exists():
            return place
    runs = run_names(parent)
    choices = f"there are: {', '.join(runs) or 'none'}"
    for place in places:
        if place.is_symlink() and not place.exists():
            raise UserError(f"{place} points at {place.readlink()}, which is gone ({choices}).")
        if place.exists():
            raise UserError(f"{place} is not a run: it has neither {RUN} nor {PLAN} ({choices}).")
    require(run, runs, str(parent))
    return places[0]
