"""Reports of a run: its page (one HTML file, without scripts or a network), and all others."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote

import jinja2

from hatester.analysis import outcomes
from hatester.analysis.comparison import Against
from hatester.analysis.expectation import Expectation
from hatester.analysis.explanation_of_notes import describe_effect, describe_use
from hatester.analysis.findings import Finding
from hatester.analysis.model import CellResult, CheckResult, Quality
from hatester.analysis.notes import share_words
from hatester.analysis.reload_model import AddressResult, OldWorker, ReloadLatency
from hatester.report import junit, markdown
from hatester.report.glossary import GLOSSARY
from hatester.report.html_filters import Filters
from hatester.report.tables import engines, grids
from hatester.report.timeline_svg import Drawing
from hatester.results.folder import keep, read, writing
from hatester.results.repeat_command import repeat_command
from hatester.results.store import CONSOLE, HAPROXY_LOG, TIMELINE, Results
from hatester.util.errors import tail
from hatester.util.jsonfile import Damaged
from hatester.util.text import for_xml, grouped

LOG_LINES = 100
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable by which GitHub Actions names the file for a step's summary."""
_TEMPLATES = Path(__file__).parent / "templates"
_LOGS = {HAPROXY_LOG: "HAProxy's log", CONSOLE: "The guest's console"}


def write_reports(
    results: Results,
    findings: Sequence[Finding],
    expectation: Expectation | None,
    against: Against | None = None,
) -> list[Path]:
    """Write a run's reports beside `run.json`. Raises UserError where that is not possible."""
    short = markdown.render(results, findings, against)
    contents = {
        "report.html": render(results, findings, against),
        "report.md": short,
        "junit.xml": junit.render(results, expectation),
    }
    files = [results.folder / name for name in contents]
    for file, content in zip(files, contents.values(), strict=True):
        keep(file, content)
    if summary := os.environ.get(STEP_SUMMARY):
        with writing(Path(summary)), Path(summary).open("a") as step:
            step.write(short)
    return files


def render(results: Results, findings: Sequence[Finding], against: Against | None = None) -> str:
    """Return the page, to be stored in the run's folder, from where it links to the evidence."""
    run = results.run
    missing = Counter(cell.id for cell, _ in run.missing)
    tables = grids(run.cells, (cell for cell, _ in run.tasks))
    repetitions = grouped((cell.id, cell) for cell in run.cells)
    page = (
        _environment()
        .get_template("page.html")
        .render(
            run=run,
            engines=engines(run.cells),
            outcomes=(*outcomes.MEANINGS, outcomes.MISSING),
            counts=Counter(map(outcomes.outcome, run.cells))
            + Counter({outcomes.MISSING: missing.total()}),
            seconds=sum(cell.seconds for cell in run.cells),
            findings=findings,
            against=against,
            titles=outcomes.title_builds(run),
            grids=tables,
            worst_first=outcomes.order_by_harm(run.cells),
            filters=Filters([cell for grid in tables for cell in grid.every]),
            stored=set(repetitions),
            stories=list(repetitions.values()),
            drawing=partial(_drawing, results),
            files=partial(_files, results),
            logs=partial(_logs, results),
            command=partial(repeat_command, results),
            legend=outcomes.LEGEND if any(map(outcomes.is_late, run.cells)) else None,
            errors=outcomes.by_reason((cell.id, cell.error) for cell in run.cells if cell.error),
            left_out=outcomes.by_reason((each.id, each.reason) for each in run.left_out),
            missing=missing,
        )
    )
    return for_xml(page)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": _anchor,
        "lasted": _lasted,
        "moment": _moment,
        "grown": _grown,
        "latency": _latency,
        "use": describe_use,
        "worker": _worker,
        "quality": _quality,
        "checked": _checked_addresses,
        "describe_effect": describe_effect,
        "outage": _outage,
    }
    environment.globals |= {
        "tint": outcomes.find_tint,
        "lines": outcomes.lines,
        "glossary": GLOSSARY,
    }
    return environment


def _anchor(id_: str) -> str:
    """Return the id of an element for a cell's id; both as an attribute and in a link."""
    return quote(id_, errors="surrogatepass")


def _lasted(seconds: float) -> str:
    """Return a duration as people write it: `34.2 s`, `5 min 3 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _moment(text: str) -> str:
    """Return a time of `run.json` as people write it."""
    return datetime.datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M:%S %Z")


def _grown(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} by {count}" for name, count in counters.items() if count)


def _latency(latency: ReloadLatency) -> str:
    """Return percentiles of each part of a reload, in milliseconds."""
    parts = {"before": latency.before, "during": latency.during, "after": latency.after}
    return (
        ", ".join(
            f"{1000 * part.p50:.0f}/{1000 * part.p99:.0f}/{1000 * part.most:.0f} ms {name} it"
            for name, part in parts.items()
            if part
        )
        + " (p50/p99/most)"
    )


def _worker(worker: OldWorker) -> str:
    """Return the end of an old worker, and its use of the guest."""
    until = "was still there" if worker.ended_at is None else f"ended at {worker.ended_at:+.2f} s"
    use = f", {describe_use(worker.use)}" if worker.use else ""
    return f"{until}, {worker.age:.1f} s old{use}"


def _quality(quality: Quality) -> str:
    """Return how late the prober was, and what it took."""
    late = (quality.lateness_p50, quality.lateness_p99, quality.lateness_max)
    p50, p99, most = (f"{1000 * each:.0f} ms" for each in late)
    return (
        f"{quality.probes} connections, late by {p50} at the median, {p99} at the 99th percentile, "
        f"{most} at most; watching took {quality.burden:.0%} of the guest's processors"
    )


def _checked_addresses(checks: Iterable[CheckResult]) -> list[str]:
    return list(dict.fromkeys(label for check in checks for label in check.outcomes))


@dataclass(frozen=True)
class Log:
    """The end of a log, after `left_out` lines; without a text, `trouble` is the reason."""

    name: str
    text: str = ""
    left_out: int = 0
    trouble: str | None = None


def _files(results: Results, cell: CellResult) -> list[str]:
    """Return what is left of a measurement's evidence, as paths from the run's folder."""
    files = (results.evidence(cell) / name for name in (TIMELINE, *_LOGS))
    return [file.relative_to(results.folder).as_posix() for file in files if file.is_file()]


def _drawing(results: Results, cell: CellResult) -> Drawing | str:
    """Return the drawing of a stored timeline, or why there is none."""
    try:
        timeline = results.timeline(cell)
    except Damaged as damage:
        return f"{TIMELINE} {damage}."
    if timeline is None:
        return "Nothing of it was stored: the cell never began."
    if not timeline.probes:
        return "It ended before any connection was made."
    return Drawing(timeline, cell)


def _logs(results: Results, cell: CellResult) -> list[Log]:
    files = (results.evidence(cell) / name for name in _LOGS)
    return [_log(file) for file in files if file.is_file()]


def _log(file: Path) -> Log:
    try:
        text = read(file).decode(errors="replace")
    except Damaged as damage:
        return Log(_LOGS[file.name], trouble=f"{file.name} {damage}.")
    return Log(_LOGS[file.name], tail(text, LOG_LINES), max(len(text.splitlines()) - LOG_LINES, 0))


def _outage(address: AddressResult) -> str:
    """Return for how long an address did not answer, and the share of connections that failed."""
    if not address.outages:
        return ""
    share = share_words(each.share for each in address.outages)
    return f"{address.outage_seconds:.2f} s{f' ({share})' if share else ''}"
