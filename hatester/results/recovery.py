"""Stored runs, read by what is whole of them, and made whole again.

A run is stored twice: `run.json` has all of it, for other programs; `plan.json` has its head, which
is all but the cells, and each cell's `cell.json` that cell. These are written before `run.json`, so
where both are whole and differ, they are newer; where one is damaged, the other tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hatester.results import evidence
from hatester.results.evidence import Content
from hatester.results.schema import keep_sealed, read, require_fit, writing
from hatester.util.errors import UserError
from hatester.util.files import set_aside
from hatester.util.jsonfile import SEAL, Damaged, parsed, unsealed

log = logging.getLogger(__name__)

SCHEMA = 1
RUN = "run.json"
PLAN = "plan.json"
CELL = "cell.json"

Key = tuple[Any, Any]
"""The id of a cell, and which repetition of it."""


class Found(NamedTuple):
    """A run as `run.json` has it; its sealed files that are whole, and those that are damaged."""

    run: Content
    whole: Mapping[Path, Content]
    damaged: Mapping[Path, str]


def key(entry: Mapping[str, Any]) -> Key:
    return entry.get("id"), entry.get("repetition")


def head(run: Mapping[str, Any]) -> Content:
    """All of a run but its cells."""
    return {name: value for name, value in run.items() if name != "cells"}


def in_order(run: Mapping[str, Any], cells: Iterable[Content]) -> list[Content]:
    """Cells by repetition, and as they were planned."""
    order = {id_: number for number, id_ in enumerate(run.get("planned", ()))}
    return sorted(cells, key=lambda cell: (cell["repetition"], order.get(cell["id"], len(order))))


def load(folder: Path) -> Found:
    """A stored run, of which nothing is changed.

    Raises UserError for one of another version, and where neither `run.json` nor `plan.json` can be
    used.
    """
    return _Reading(folder).found()


def mend(folder: Path) -> Content:
    """Set aside what is damaged of a run, and write what it lacks, also where an earlier version
    did not write it. Returns the run.

    Nobody else may write to it meanwhile. Raises UserError as `load`, and for what cannot be
    written.
    """
    found = load(folder)
    for path, reason in found.damaged.items():
        put_aside(path, reason)
    wanted = {
        **{cell_file(folder, entry): entry for entry in found.run["cells"]},
        folder / RUN: found.run,
        # The last, since where it is, all else has to be sealed.
        folder / PLAN: head(found.run),
    }
    for path, content in wanted.items():
        if found.whole.get(path) != content:
            keep_sealed(path, content)
    return found.run


def cell_file(folder: Path, entry: Mapping[str, Any]) -> Path:
    """Where a run has a cell alone."""
    return evidence.folder(folder, str(entry.get("id")), entry.get("repetition", 1)) / CELL


def put_aside(path: Path, reason: str) -> None:
    """Set aside what is damaged, and tell the user, also of what is not there at all."""
    with writing(path):
        if path.exists():
            set_aside(path, reason)
        else:
            log.warning(f"{path} {reason}")


class _Reading:
    """One pass over the files of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole: dict[Path, Content] = {}
        self.damaged: dict[Path, str] = {}

    def found(self) -> Found:
        run, plan = self.folder / RUN, self.folder / PLAN
        planned = self._try(plan, self._plan) if plan.exists() else None
        stored = self._try(run, self._run)
        if planned is None and stored is None:
            raise UserError(
                f"{run} {self.damaged[run]}, and {plan}, by which it would be made again, "
                f"{self.damaged.get(plan, 'is not there')}."
            )
        content = {**(planned or head(stored or {})), "cells": []}
        cells = {key(entry): entry for entry in (stored or content)["cells"]}
        ids = content.get("planned")
        for file in sorted((self.folder / "cells").rglob(CELL)):
            entry = self._try(file, lambda file: self._cell(file, ids))
            if entry is not None:
                cells[key(entry)] = entry
        content["cells"] = in_order(content, cells.values())
        return Found(content, self.whole, self.damaged)

    def _try(self, path: Path, reader: Callable[[Path], Content]) -> Content | None:
        try:
            return reader(path)
        except Damaged as damage:
            self.whole.pop(path, None)
            self.damaged[path] = str(damage)
            return None

    def _plan(self, path: Path) -> Content:
        content = self.whole[path] = unsealed(read(path))
        _require_version(path, content)
        if content.get("schema") != SCHEMA or "cells" in content:
            raise Damaged("is no plan")
        return content

    def _run(self, path: Path) -> Content:
        data = read(path)
        content = parsed(data)
        if SEAL in content:
            content = self.whole[path] = unsealed(data)
        _require_version(path, content)
        plan = self.folder / PLAN
        if path not in self.whole:
            # Earlier versions sealed nothing.
            if plan.exists():
                raise Damaged("has no checksum")
            require_fit(content)
        if content.get("schema") != SCHEMA or "cells" not in content:
            raise Damaged("is no run")
        if plan in self.whole and content["started"] != self.whole[plan]["started"]:
            raise Damaged("is another run's")
        return content

    def _cell(self, path: Path, planned: Iterable[str] | None) -> Content:
        entry = self.whole[path] = unsealed(read(path))
        if path != cell_file(self.folder, entry) or (planned and entry["id"] not in planned):
            raise Damaged("is no cell of this run")
        return entry


def _require_version(path: Path, content: Mapping[str, Any]) -> None:
    version = content.get("schema")
    if isinstance(version, int) and version != SCHEMA:
        raise UserError(f"{path}: its schema is {version}, not {SCHEMA}.")
