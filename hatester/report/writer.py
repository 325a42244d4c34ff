"""The reports that lie beside run.json, for people and for other programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hatester.analysis.expectation import Expectation
from hatester.analysis.findings import Finding
from hatester.report import html, junit, markdown
from hatester.results.schema import keep, writing
from hatester.results.store import Results

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Where GitHub Actions takes a step's summary, if it is in the environment."""


def write(
    results: Results, findings: Sequence[Finding], expectation: Expectation | None
) -> list[Path]:
    """Write a run's reports. Raises UserError where that cannot be done."""
    short = markdown.render(results, findings)
    contents = {
        "report.html": html.render(results, findings),
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
