"""The reports beside run.json, and its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis import expectation, findings
from hatester.matrix.plan import Cell
from hatester.report import junit, markdown, writer
from hatester.results.schema import require_fit
from hatester.results.store import Results, begin, find
from hatester.util.errors import UserError
from tests.factories.cells import cell
from tests.factories.entries import ID, entry, stored, unmeasured
from tests.factories.evidence import everywhere
from tests.factories.runs import aged

GOLDEN = Path(__file__).parents[1] / "resources/report.md"
OTHER = ID.replace("2.2", "3.0")


def run(*cells: dict[str, Any]) -> Results:
    """As it is stored; nothing is written."""
    content = {
        "run": "20261125-120000",
        "started": "2026-11-25T12:00:00+00:00",
        "host": {"qemu": "QEMU emulator version 7.2"},
        "clock": "virtual",
        "left_out": [{"id": "5.10/2.2/migrate-req/hitless/signal", "reason": "it makes no sense"}],
        "cells": list(cells),
    }
    return Results(Path("results/20261125-120000"), content)


def cases(text: str) -> dict[str, ET.Element]:
    return {each.attrib["name"]: each for each in ET.fromstring(text).iter("testcase")}


def results_of(case: ET.Element) -> list[str]:
    return [each.tag for each in case if each.tag != "system-out"]


def test_the_short_report_is_as_in_the_golden_file() -> None:
    refused = everywhere((1.22, 3.22, "refused"))
    dead = everywhere((1.22, 9.0, "refused"))
    cells = [
        cell("5.10", "2.2", refused),
        cell("6.1", "2.2", refused),
        cell("5.10", "3.0", dead, reported="success"),
        cell("6.1", "3.0", {}),
        unmeasured(id_="7.3/2.2/plain/lost-address/signal"),
    ]
    results = run(*cells)
    assert markdown.render(results, findings.find(cells)) == GOLDEN.read_text()


def test_a_case_passes_when_its_addresses_went_on_answering() -> None:
    cells = [
        entry("ok"),
        entry("lossy", lost=3, repetition=2),
        entry("outage", seconds=2.0, lost=99, id_=OTHER),
        unmeasured("the guest died", id_=ID.replace("6.1", "7.3")),
    ]
    found = cases(junit.render(run(*cells), None))
    assert {name: results_of(case) for name, case in found.items()} == {
        ID: [],
        f"{ID} (2)": [],
        OTHER: ["failure"],
        ID.replace("6.1", "7.3"): ["error"],
        "5.10/2.2/migrate-req/hitless/signal": ["skipped"],
    }
    failure = found[OTHER].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "outage 2.0 s refused; expected ok or unasked or lossy"
    assert failure.text == "it is outage"
    again = found[OTHER].findtext("system-out") or ""
    assert "--haproxy 3.0" in again
    assert "--seed 0 --clock real" in again


def test_with_an_expectation_a_case_passes_when_it_is_met(tmp_path: Path) -> None:
    file = tmp_path / "expected.yml"
    file.write_text("'*/3.0/*': outage\n'*': ok\n")
    expected = expectation.load(str(file), [ID, OTHER], lambda _: ())
    cells = [entry("outage", seconds=2.0), entry("outage", seconds=2.0, id_=OTHER)]
    found = cases(junit.render(run(*cells), expected))
    assert (results_of(found[ID]), results_of(found[OTHER])) == (["failure"], [])


@given(st.text())
def test_whatever_a_cell_says_stays_what_it_is(text: str) -> None:
    spoken = unmeasured(text or "-")
    assert cases(junit.render(run(spoken), None))[ID].find("error") is not None
    body = markdown.render(run(spoken), [])
    assert body.count("\n# ") + body.startswith("# ") >= 1


def test_the_summary_of_a_step_is_written_where_github_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = stored(tmp_path, entry("ok"))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(writer.STEP_SUMMARY, str(summary))
    files = writer.write(results, [], None)
    assert [file.name for file in files] == ["report.html", "report.md", "junit.xml"]
    assert summary.read_text() == f"before\n{(results.folder / 'report.md').read_text()}"
    monkeypatch.setenv(writer.STEP_SUMMARY, str(tmp_path / "no/folder"))
    with pytest.raises(UserError, match="no/folder cannot be written"):
        writer.write(results, [], None)


def test_what_is_stored_is_as_the_schema_has_it_and_what_is_not_is_named(tmp_path: Path) -> None:
    results = stored(tmp_path, entry("ok"), unmeasured(id_=OTHER))
    require_fit(json.loads(results.file.read_text()))
    assert find(tmp_path, "latest").cells == results.cells
    # What has a checksum was written by hatester; without one, the schema decides.
    aged(results)
    results.file.write_text(json.dumps({**results.run, "started": "today"}))
    with pytest.raises(UserError, match=r"run\.json is no run \(\$\.started: 'today'"):
        find(tmp_path, "latest")
    for change, place in (
        ({"verdict": "fine"}, r"\$\.cells\[0\]\.verdict: 'fine' is not one of"),
        ({"reloads": {}}, r"\$\.cells\[0\]\.reloads"),
        ({"quality": None}, r"\$\.cells\[0\]\.quality: None is not of type 'object'"),
        (
            {"kernel": {"name": "6.1", "release": "6.1"}},
            r"\$\.cells\[0\]\.kernel: 'accelerator' is a required property",
        ),
        ({"id": "6.1"}, r"\$\.cells\[0\]\.id"),
        ({"id": "../../../../.."}, r"\$\.cells\[0\]\.id"),
        ({"explanation": "\ud800"}, "'utf-8' codec"),
    ):
        spoilt = {**results.run, "cells": [{**results.cells[0], **change}]}
        results.file.write_text(json.dumps(spoilt))
        with pytest.raises(UserError, match=rf"run\.json is no run \({place}"):
            find(tmp_path, "latest")


def test_a_run_without_cells_has_reports_as_well(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [Cell("6.1", "2.2", "plain", "lost-address", "signal")])
    assert all(file.exists() for file in writer.write(results, [], None))
