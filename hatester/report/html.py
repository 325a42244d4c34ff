"""The page of a run: one HTML file, without scripts and without a network."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from hatester.analysis.findings import Finding
from hatester.analysis.metrics import LEGEND, is_late, lines
from hatester.analysis.outcomes import MEANINGS, outcome, worst
from hatester.analysis.reasons import by_reason
from hatester.report.html_cell import rows, story
from hatester.report.html_filters import Filters
from hatester.report.tables import engines, grids
from hatester.results.store import Results
from hatester.util.text import for_xml

Entry = Mapping[str, Any]

_TEMPLATES = Path(__file__).parent / "templates"
_LATENESS = {
    "lateness_p50": "at the median",
    "lateness_p99": "at the 99th percentile",
    "lateness_max": "at most",
}


def render(results: Results, findings: Sequence[Finding]) -> str:
    """The page, to be stored in the run's folder, from where it links to the evidence."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": _moment,
        "signed": _signed,
        "grown": _grown,
        "quality": _quality,
        "checked": _checked,
        "rows": rows,
    }
    environment.globals |= {"worst": worst, "lines": lines}
    cells = results.cells
    repetitions: dict[str, list[Entry]] = {}
    for entry in cells:
        repetitions.setdefault(entry["id"], []).append(entry)
    filters = Filters(cells)
    page = environment.get_template("page.html").render(
        run=results.run,
        engines=engines(cells),
        meanings=MEANINGS,
        counts=Counter(map(outcome, cells)),
        findings=findings,
        grids=grids(cells),
        filters=filters,
        numbers={id_: number for number, id_ in enumerate(repetitions)},
        stories=[[story(results, entry) for entry in group] for group in repetitions.values()],
        legend=LEGEND if any(map(is_late, cells)) else None,
        errors=by_reason((cell["id"], str(cell["error"])) for cell in cells if cell["error"]),
        left_out=by_reason((each["id"], each["reason"]) for each in results.run["left_out"]),
    )
    return for_xml(page)


def _moment(text: str) -> str:
    """A time of `run.json` as people write it."""
    return datetime.datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M:%S %Z")


def _signed(seconds: float) -> str:
    return f"{seconds:+.2f} s"


def _grown(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} by {count}" for name, count in counters.items() if count)


def _quality(quality: Entry) -> str:
    """How late the prober was, and what it took, as far as the run has it."""
    late = [
        f"{1000 * quality[name]:.0f} ms {words}"
        for name, words in _LATENESS.items()
        if name in quality
    ]
    told = f"{quality['probes']} connections, late by {', '.join(late)}"
    if "burden" not in quality:
        return told
    return f"{told}; watching took {quality['burden']:.0%} of the guest's processors"


def _checked(checks: Sequence[Entry]) -> list[str]:
    """The addresses that any check asked."""
    return list(dict.fromkeys(label for check in checks for label in check["outcomes"]))
