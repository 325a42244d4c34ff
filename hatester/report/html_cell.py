"""Stories: what a page tells of one measurement of a cell, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hatester.analysis.outcomes import outcome
from hatester.analysis.timeline import UNFIT
from hatester.report.timeline_svg import draw
from hatester.results import evidence
from hatester.results.evidence import CONSOLE, HAPROXY_LOG, TIMELINE
from hatester.results.store import Results
from hatester.util.errors import tail
from hatester.util.jsonfile import Damaged

Entry = Mapping[str, Any]

LOG_LINES = 100
_LOGS = {HAPROXY_LOG: "HAProxy's log", CONSOLE: "The guest's console"}


@dataclass(frozen=True)
class File:
    """A file of the evidence: its path from the run's folder, also as the target of a link."""

    path: str
    link: str


@dataclass(frozen=True)
class Log:
    """The end of a log; `left_out` is how many lines stand before it. Without a text there is
    `trouble`, the reason."""

    name: str
    text: str = ""
    left_out: int = 0
    trouble: str | None = None


@dataclass(frozen=True)
class Story:
    """A measurement; without a drawing there is `trouble`, the reason."""

    entry: Entry
    outcome: str
    command: str
    drawing: str | None
    trouble: str | None
    logs: list[Log]
    files: list[File]


def story(results: Results, entry: Entry) -> Story:
    """What there is to tell of a measurement, however much of its evidence is left."""
    folder = results.evidence(entry)
    found = [folder / name for name in (TIMELINE, *_LOGS) if (folder / name).is_file()]
    drawing, trouble = _drawing(results, entry)
    return Story(
        entry=entry,
        outcome=outcome(entry),
        command=results.command(entry),
        drawing=drawing,
        trouble=trouble,
        logs=[_log(file, entry) for file in found if file.name in _LOGS],
        files=[_file(file, results.folder) for file in found],
    )


def _drawing(results: Results, entry: Entry) -> tuple[str | None, str | None]:
    """The drawing of a stored timeline, or why there is none."""
    try:
        timeline = results.timeline(entry)
        if timeline is None:
            return None, "Nothing of it was stored: the cell never began."
        if not timeline.get("probes"):
            return None, "It ended before any connection was made."
        return draw(timeline, entry), None
    except Damaged as damage:
        return None, f"{TIMELINE} {damage}."
    except UNFIT as error:
        return None, f"{TIMELINE} is no timeline that can be drawn: {error!r}."


def _log(file: Path, entry: Entry) -> Log:
    try:
        text = evidence.text(file, entry)
    except Damaged as damage:
        return Log(_LOGS[file.name], trouble=f"{file.name} {damage}.")
    return Log(_LOGS[file.name], tail(text, LOG_LINES), max(len(text.splitlines()) - LOG_LINES, 0))


def _file(file: Path, folder: Path) -> File:
    path = file.relative_to(folder).as_posix()
    return File(path, quote(path))


@dataclass(frozen=True)
class Row:
    """What became of an address in a reload, or of several of which none lost a connection.

    There is no verdict on what was not expected to answer.
    """

    labels: list[str]
    verdict: str | None
    seconds: float
    connections: int
    failures: str


def rows(reload: Entry) -> list[Row]:
    """A reload's addresses: first those that something befell, and all that are well at once."""
    found = []
    well: dict[str, int] = {}
    for label, address in reload["addresses"].items():
        if address["verdict"] == "ok":
            well[label] = address["probes"]
            continue
        failures = ", ".join(f"{count} {how}" for how, count in address["failures"].items())
        seconds = address["outage_seconds"]
        found.append(Row([label], address["verdict"], seconds, address["probes"], failures))
    if well:
        found.append(Row([*well], "ok", 0.0, sum(well.values()), ""))
    return found
