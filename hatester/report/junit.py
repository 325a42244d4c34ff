"""junit.xml: a run as test cases, as CI systems show them.

The format is that of Jenkins' junit plugin (its junit-10.xsd): a suite for each table, a case for
each measurement.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from hatester.analysis.expectation import Expectation
from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import lines, outcome
from hatester.report import tables
from hatester.results.store import Results
from hatester.util.text import for_xml

GOOD = ("ok", "unasked", "lossy")
"""The outcomes that pass without an expectation: the addresses went on answering."""


def render(results: Results, expectation: Expectation | None) -> str:
    """Return a case for each measurement; it passes if its outcome is expected, else if it is good.

    Cells that were left out, or not measured yet, are skipped; a run without any cell is an error.
    """
    run = results.run
    root = ET.Element("testsuites", name=f"hatester {run.run}")
    for grid in tables.grids(run.cells):
        cells = [cell for group in grid.cells.values() for cell in group]
        suite = _suite(root, f"{grid.scenario} by {grid.method}, {grid.setting}")
        for cell in cells:
            _case(suite, cell, results.command(cell), expectation)
        _count(suite)
    if not run.cells:
        suite = _suite(root, "run")
        case = ET.SubElement(suite, "testcase", name=run.run, classname="hatester")
        ET.SubElement(case, "error", message="no cell was measured")
        _count(suite)
    _skip(root, "left out", ((each.id, each.reason) for each in run.left_out))
    missing = ((_name(cell.id, number), "not measured yet") for cell, number in run.missing)
    _skip(root, "not measured", missing)
    ET.indent(root)
    return for_xml(ET.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _suite(root: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=name)


def _skip(root: ET.Element, name: str, cases: Iterable[tuple[str, str]]) -> None:
    """Add a suite of skipped cases, each with the reason, if there are any."""
    suite = ET.Element("testsuite", name=name)
    for case_name, reason in cases:
        case = ET.SubElement(suite, "testcase", name=case_name, classname="hatester")
        ET.SubElement(case, "skipped", message=reason)
    if len(suite):
        _count(suite)
        root.append(suite)


def _name(id_: str, repetition: int) -> str:
    return f"{id_} ({repetition})" if repetition > 1 else id_


def _case(
    suite: ET.Element, cell: CellResult, command: str, expectation: Expectation | None
) -> None:
    case = ET.SubElement(
        suite, "testcase", name=_name(cell.id, cell.repetition), classname="hatester",
        time=f"{cell.seconds:.3f}",
    )  # fmt: skip
    difference = expectation.difference(cell) if expectation else None
    expected = difference.expected if difference else GOOD
    if cell.error is not None:
        ET.SubElement(case, "error", message=cell.error)
    elif difference or (expectation is None and outcome(cell) not in GOOD):
        message = f"{', '.join(lines([cell]))}; expected {' or '.join(expected)}"
        ET.SubElement(case, "failure", message=message).text = cell.explanation
    ET.SubElement(case, "system-out").text = f"{cell.explanation}\n{command}"


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
