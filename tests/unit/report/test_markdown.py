"""The short report in Markdown, and where reports are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.analysis import findings
from hatester.matrix.plan import Cell
from hatester.report import html, markdown
from hatester.results.store import begin
from hatester.util.errors import UserError
from tests.factories.cells import ID, cell, shown, stored, unmeasured_cell, unwritten
from tests.factories.evidence import everywhere

GOLDEN = Path(__file__).parents[1] / "resources/report.md"


def test_the_short_report_is_as_in_the_golden_file() -> None:
    refused = everywhere((1.22, 3.22, "refused"))
    dead = everywhere((1.22, 9.0, "refused"))
    cells = [
        cell("5.10", "2.2", refused),
        cell("6.1", "2.2", refused),
        cell("5.10", "3.0", dead, reported="success"),
        cell("6.1", "3.0", {}),
        unmeasured_cell(id_="7.3/2.2/plain/lost-address/signal"),
    ]
    results = unwritten(*cells)
    assert markdown.render(results, findings.find(results.run)) == GOLDEN.read_text()


def test_the_summary_of_a_step_is_written_where_github_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = stored(tmp_path, shown("ok"))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(html.STEP_SUMMARY, str(summary))
    files = html.write_reports(results, [], None)
    assert [file.name for file in files] == ["report.html", "report.md", "junit.xml"]
    assert summary.read_text() == f"before\n{(results.folder / 'report.md').read_text()}"
    monkeypatch.setenv(html.STEP_SUMMARY, str(tmp_path / "no/folder"))
    with pytest.raises(UserError, match="no/folder cannot be written"):
        html.write_reports(results, [], None)


def test_a_short_report_says_what_is_missing() -> None:
    results = unwritten(shown("ok"), planned=[ID, ID.replace("2.2", "3.0")])
    assert "1 cell: 1 ok. 1 of 2 cells were measured." in markdown.render(results, [])


def test_a_run_without_cells_has_reports_as_well(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [Cell("6.1", "2.2", "plain", "lost-address", "signal")])
    assert all(file.exists() for file in html.write_reports(results, [], None))
