"""Results: `results/RUN/run.json`, whole at any moment, and what lies beside it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from pathlib import Path
from typing import Any

from hatester import cache
from hatester.cells import Result
from hatester.errors import UserError

SCHEMA = 1


class Results:
    """A run's folder. Every cell is on disk as soon as it is added."""

    def __init__(self, parent: Path, host: dict[str, Any]) -> None:
        """Raises UserError when the folder cannot be made."""
        started = _now()
        self.folder = _make_folder(parent, started.strftime("%Y%m%d-%H%M%S"))
        self.run: dict[str, Any] = {
            "schema": SCHEMA,
            "run": self.folder.name,
            "started": started.isoformat(timespec="seconds"),
            "finished": None,
            "host": host,
            "cells": [],
        }
        self._write()
        _point(parent / "latest", self.folder.name)

    @property
    def file(self) -> Path:
        return self.folder / "run.json"

    @property
    def cells(self) -> list[dict[str, Any]]:
        cells: list[dict[str, Any]] = self.run["cells"]
        return cells

    def add(self, result: Result) -> None:
        """Write a cell's logs, then the cell itself."""
        folder = self.folder / "cells" / result.entry["id"]
        for name, text in (("haproxy.log", result.haproxy_log), ("console.log", result.console)):
            if text:
                cache.write_whole(folder / name, text)
        self.cells.append(result.entry)
        self._write()

    def finish(self) -> None:
        """Say that the run came to its end, which one that was interrupted does not."""
        self.run["finished"] = _now().isoformat(timespec="seconds")
        self._write()

    def _write(self) -> None:
        cache.write_whole(self.file, json.dumps(self.run, indent=1) + "\n")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _make_folder(parent: Path, name: str) -> Path:
    """A new folder; two runs that start in the same second get two."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            with contextlib.suppress(FileExistsError):
                folder = parent / f"{name}{suffix}"
                folder.mkdir()
                return folder
    except OSError as error:
        raise UserError(f"{parent} cannot hold results: {error.strerror}.") from error
    raise UserError(f"{parent} holds a hundred runs of this very second.")


def _point(link: Path, target: str) -> None:
    """Let a symbolic link point at `target`, without a moment in which there is none."""
    unfinished = link.with_name(f".{link.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.replace(link)
