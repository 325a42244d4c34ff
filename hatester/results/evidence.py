"""Evidence: the files of a cell beside its entry in `run.json`, and what they prove.

An entry has the SHA-256 of each (`evidence`); those of runs of earlier versions have none, and
their files are taken as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatester.analysis.model import Result
from hatester.analysis.timeline import UNFIT
from hatester.analysis.verdict import judged
from hatester.results.schema import keep, read, require_fit
from hatester.util.files import checksum
from hatester.util.jsonfile import Damaged, parsed

Content = dict[str, Any]
Entry = Mapping[str, Any]

TIMELINE = "timeline.json"
HAPROXY_LOG = "haproxy.log"
CONSOLE = "console.log"


def folder(run: Path, id_: str, repetition: int) -> Path:
    """Where a cell's files are, in the folder of its run."""
    again = "" if repetition == 1 else f"repetition-{repetition}"
    return run / "cells" / id_ / again


def write(folder: Path, result: Result) -> dict[str, str]:
    """Write what a cell left, in place of an earlier measurement's. Returns the checksums.

    Raises UserError where that cannot be done.
    """
    timeline = result.timeline
    log = "".join(f"{at:9.3f}  {line}\n" for at, line in timeline.get("log", []))
    contents = {
        TIMELINE: json.dumps(timeline) if timeline else None,
        HAPROXY_LOG: log if timeline else None,
        CONSOLE: result.console or None,
    }
    for name, content in contents.items():
        keep(folder / name, content)
    return {
        name: checksum(folder / name) for name, content in contents.items() if content is not None
    }


def text(file: Path, entry: Entry) -> str:
    """A log among a cell's files. Raises Damaged unless it is as it was written."""
    return _read(file, entry).decode(errors="replace")


def timeline(folder: Path, entry: Entry) -> Content | None:
    """What is in a cell's timeline; None for a cell that never began, which left none.

    Raises Damaged where it is not there any more or not as it was written.
    """
    file = folder / TIMELINE
    return parsed(_read(file, entry)) if _has_begun(file, entry) else None


def _has_begun(file: Path, entry: Entry) -> bool:
    if "evidence" in entry:
        return file.name in entry["evidence"]
    return entry["verdict"] != "error" or file.exists()


def _read(file: Path, entry: Entry) -> bytes:
    return read(file, entry.get("evidence", {}).get(file.name))


def judged_again(entry: Entry, timeline: Mapping[str, Any]) -> Content:
    """A cell's entry by its timeline. Raises Damaged for one that cannot be judged."""
    try:
        found = {**entry, **judged(timeline)}
    except UNFIT as error:
        raise Damaged(f"cannot be judged ({error!r})") from error
    if found != entry:
        require_fit(found, "cell")
    return found
