"""report.md: a run in short, for a ticket or a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from hatester.analysis import comparison
from hatester.analysis.comparison import Against
from hatester.analysis.findings import Finding
from hatester.analysis.outcomes import OUTCOMES, errors, measured, outcome
from hatester.report import tables
from hatester.results.repeat_command import repeat_command
from hatester.results.store import Results
from hatester.util.text import counted, for_markdown, for_xml

_MOST_COMMANDS = 10
"""Commands in a report that is to fit into a ticket."""


def render(results: Results, findings: Sequence[Finding], against: Against | None = None) -> str:
    """Return GitHub-flavoured Markdown: findings, tables, and how to measure it again."""
    parts = [
        f"# hatester {for_markdown(results.run.run)}\n\n{for_markdown(_head(results))}",
        *(_render_finding(each) for each in findings),
        tables.tables(results.run, table_format="github", title="## {}"),
    ]
    if against:
        title = f"## Against {for_markdown(against.run)}"
        parts.append(f"{title}\n\n{_code(comparison.text(against.comparison))}")
    if complaints := errors(results.cells):
        parts.append(f"## Not measured\n\n{_code(complaints)}")
    if differs := results.run.differs:
        title = f"## Unlike {for_markdown(results.run.captured or '')}"
        parts.append(f"{title}\n\n" + _code("\n".join(differs)))
    if again := _again(results):
        parts.append(f"## To measure it again\n\n{_code(again)}")
    return for_xml("\n\n".join(parts)) + "\n"


def _head(results: Results) -> str:
    """Return when it was measured, on what, and how it went."""
    run = results.run
    counts = [
        f"{number} {name}"
        for name in (*OUTCOMES, "error")
        if (number := sum(outcome(cell) == name for cell in results.cells))
    ]
    host = ", ".join(each for each in (run.host.qemu, *tables.engines(run.cells)) if each)
    cells = counted(len(run.cells), "cell")
    shortfall = f" {run.shortfall}." if run.shortfall else ""
    return (
        f"{run.started}, {host or 'host unknown'}. {cells}: {', '.join(counts) or 'none'}."
        f"{shortfall}"
    )


def _render_finding(finding: Finding) -> str:
    sentences = (f"- {for_markdown(each)}" for each in finding.sentences)
    return "\n".join([f"**{for_markdown(finding.about)}**", "", *sentences])


def _again(results: Results) -> str:
    """Return the commands that measure the worst cells again, one of each table."""
    worst: dict[str, None] = {}
    for grid in tables.grids(results.cells):
        cells = measured(each for group in grid.cells.values() for each in group)
        found = max(cells, key=lambda cell: OUTCOMES.index(outcome(cell)), default=None)
        if found and outcome(found) not in ("ok", "unasked", "lossy"):
            worst[repeat_command(results, found)] = None
    return "\n".join([*worst][:_MOST_COMMANDS])


def _code(text: str) -> str:
    """Return text as a code block, fenced by more backticks than it has."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
