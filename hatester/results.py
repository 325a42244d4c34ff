"""Results: `results/RUN/run.json`, whole at any moment, and what lies beside it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shlex
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from hatester.cells import Result, judged
from hatester.declarations import require
from hatester.errors import UserError
from hatester.files import write_whole
from hatester.outcomes import outcome
from hatester.own import AFTER, BEFORE
from hatester.paths import RUN_SCHEMA
from hatester.plan import FLAGS, Cell, Task, cell_of

SCHEMA = 1
LATEST = "latest"
_QUOTE = 200


class Results:
    """A run's folder. Every cell is on disk as soon as it is added."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        self.run = run
        self._order = {id_: number for number, id_ in enumerate(run.get("planned", ()))}

    @property
    def planned(self) -> list[Task]:
        """All that is to be measured, in the order in which it is.

        Raises UserError for a run that does not say.
        """
        if "planned" not in self.run:
            raise UserError(f"{self.file} does not say what was planned.")
        return [
            (cell_of(id_), number)
            for number in range(1, self.run["repeat"] + 1)
            for id_ in self.run["planned"]
        ]

    @property
    def described_builds(self) -> dict[str, str]:
        """What --haproxy was given for those of its builds that are declared in no file."""
        builds: dict[str, str] = self.run.get("builds", {})
        return builds

    def left(self, again: Container[str] = ()) -> list[Task]:
        """What is to be measured and is not there, or has one of the outcomes `again`."""
        there = {
            (each["id"], each["repetition"]) for each in self.cells if outcome(each) not in again
        }
        return [(cell, number) for cell, number in self.planned if (cell.id, number) not in there]

    @property
    def described_kernels(self) -> dict[str, str]:
        """What --kernel was given for those of its kernels that are declared in no file."""
        kernels: dict[str, str] = self.run.get("kernels", {})
        return kernels

    @property
    def file(self) -> Path:
        return self.folder / "run.json"

    @property
    def scenarios(self) -> Path:
        """The folder of scenarios that were made for this run alone, if there are any."""
        return self.folder / "scenarios"

    @property
    def cells(self) -> list[dict[str, Any]]:
        cells: list[dict[str, Any]] = self.run["cells"]
        return cells

    def add(self, result: Result) -> None:
        """Write a cell's evidence, then the cell itself, at its place in the plan.

        It takes the place of an earlier measurement of the same.
        """
        timeline = result.timeline
        log = "".join(f"{at:9.3f}  {line}\n" for at, line in timeline.get("log", []))
        self._keep(result.entry, "timeline.json", json.dumps(timeline) if timeline else None)
        self._keep(result.entry, "haproxy.log", log if timeline else None)
        self._keep(result.entry, "console.log", result.console or None)
        which = (result.entry["id"], result.entry["repetition"])
        self.cells[:] = [each for each in self.cells if (each["id"], each["repetition"]) != which]
        self.cells.append(result.entry)
        self.cells.sort(key=lambda entry: (entry["repetition"], self._order[entry["id"]]))
        self.write()

    def _keep(self, entry: Mapping[str, Any], name: str, content: str | None) -> None:
        """Write a file of a cell's evidence; without content there is none, nor an old one."""
        file = self.evidence(entry) / name
        if content is None:
            file.unlink(missing_ok=True)
        else:
            write_whole(file, content)

    def evidence(self, entry: Mapping[str, Any]) -> Path:
        """Where a cell's timeline, log and console are."""
        again = "" if entry["repetition"] == 1 else f"repetition-{entry['repetition']}"
        return self.folder / "cells" / str(entry["id"]) / again

    def command(self, entry: Mapping[str, Any]) -> str:
        """What measures a cell again, as a line for a shell."""
        words = ["./bootstrap", "invoke", "matrix"]
        names = dict(zip(FLAGS.values(), str(entry["id"]).split("/"), strict=True))
        if "captured" in self.run:
            words += ["--host", self.run["captured"], "--only", str(entry["id"])]
            names.clear()
        elif self.scenarios.exists():
            folder = self.scenarios / names.pop(FLAGS["scenarios"])
            words += ["--config", str(folder / f"{BEFORE}.cfg")]
            words += ["--after", str(folder / f"{AFTER}.cfg"), "--only", str(entry["id"])]
        described = {
            FLAGS["kernels"]: self.described_kernels,
            FLAGS["haproxy"]: self.described_builds,
        }
        for flag, name in names.items():
            words += [flag, described.get(flag, {}).get(name, name)]
        if interval := self.run.get("probe_interval"):
            words += ["--probe-interval", f"{interval:g}s"]
        return shlex.join(words)

    def recompute(self) -> list[str]:
        """Judge all cells again by their stored evidence.

        Returns the ids of those of which something else is said now. Raises UserError for a
        timeline that cannot be read. A cell that never began has none, and stays as it is.
        """
        changed = []
        for entry in self.cells:
            file = self.evidence(entry) / "timeline.json"
            if file.exists():
                before = dict(entry)
                entry.update(_judged(file))
                if entry != before:
                    changed.append(entry["id"])
        self.write()
        return changed

    def finish(self) -> None:
        """Say that the run came to its end, which one that was interrupted does not."""
        self.run["finished"] = _now().isoformat(timespec="seconds")
        self.write()

    def write(self) -> None:
        """Bring `run.json` up to date."""
        write_whole(self.file, json.dumps(self.run, indent=1) + "\n")


def begin(
    parent: Path,
    host: dict[str, Any],
    cells: Sequence[Cell],
    left_out: Sequence[tuple[Cell, str]] = (),
    repeat: int = 1,
    probe_interval: float | None = None,
    further: Mapping[str, Any] | None = None,
) -> Results:
    """A folder for a new run of these cells, each `repeat` times, to which `latest` points.

    `probe_interval` is in seconds; None for that of each scenario. `further` is what else
    `run.json` is to say. Raises UserError when the folder cannot be made.
    """
    started = _now()
    folder = _make_folder(parent, started.strftime("%Y%m%d-%H%M%S"))
    results = Results(
        folder,
        {
            "schema": SCHEMA,
            "run": folder.name,
            "started": started.isoformat(timespec="seconds"),
            "finished": None,
            "host": host,
            "planned": [cell.id for cell in cells],
            "repeat": repeat,
            "probe_interval": probe_interval,
            **(further or {}),
            "left_out": [{"id": cell.id, "reason": reason} for cell, reason in left_out],
            "cells": [],
        },
    )
    results.write()
    _point(parent / LATEST, folder.name)
    return results


def find(parent: Path, run: str) -> Results:
    """A stored run by its name, such as `latest`, or by its folder.

    Raises UserError when there is none, or when it cannot be read.
    """
    folders = [folder for folder in (parent / run, Path(run)) if (folder / "run.json").exists()]
    if not folders:
        runs = sorted(path.parent.name for path in parent.glob("*/run.json"))
        require(run, runs, str(parent))
    file = folders[0] / "run.json"
    content = _read(file)
    if content.get("schema") != SCHEMA:
        raise UserError(f"{file}: its schema is {content.get('schema')}, not {SCHEMA}.")
    schema = Draft202012Validator(json.loads(RUN_SCHEMA.read_text()))
    if mistake := next(schema.iter_errors(content), None):
        raise UserError(f"{file} is no run: {mistake.json_path}: {mistake.message[:_QUOTE]}.")
    return Results(file.parent.resolve(), content)


def _judged(file: Path) -> dict[str, Any]:
    try:
        return judged(_read(file))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file} is no timeline that can be judged: {error!r}.") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is no JSON object.")
    return content


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
