"""junit.xml: a run as test cases, as CI systems show them.

The format is that of Jenkins' junit plugin (its junit-10.xsd): a suite for each table, a case for
each measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from hatester.analysis import metrics
from hatester.analysis.expectation import Expectation
from hatester.analysis.outcomes import outcome
from hatester.report import tables
from hatester.results.store import Results
from hatester.util.text import for_xml

GOOD = ("ok", "unasked", "lossy")
"""What passes where nothing else is expected of a cell: its addresses went on answering."""


def render(results: Results, expectation: Expectation | None) -> str:
    """A case passes when its outcome is as expected; without an expectation, when it is good.

    What was left out is skipped.
    """
    root = ET.Element("testsuites", name=f"hatester {results.run['run']}")
    for grid in tables.grids(results.cells):
        cells = [cell for group in grid.cells.values() for cell in group]
        suite = _suite(root, f"{grid.scenario} by {grid.method}, {grid.setting}")
        for cell in cells:
            _case(suite, cell, results.command(cell), expectation)
        _count(suite)
    if results.run["left_out"]:
        suite = _suite(root, "left out")
        for each in results.run["left_out"]:
            case = ET.SubElement(suite, "testcase", name=each["id"], classname="hatester")
            ET.SubElement(case, "skipped", message=each["reason"])
        _count(suite)
    ET.indent(root)
    return for_xml(ET.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _suite(root: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=name)


def _case(
    suite: ET.Element, cell: Mapping[str, Any], command: str, expectation: Expectation | None
) -> None:
    again = f" ({cell['repetition']})" if cell["repetition"] > 1 else ""
    case = ET.SubElement(
        suite, "testcase",
        name=f"{cell['id']}{again}", classname="hatester", time=f"{cell['seconds']:.3f}",
    )  # fmt: skip
    found = outcome(cell)
    difference = expectation.difference(cell) if expectation else None
    expected = difference.expected if difference else GOOD
    if found == "error":
        ET.SubElement(case, "error", message=cell["error"])
    elif difference or (expectation is None and found not in GOOD):
        message = f"{', '.join(metrics.lines([cell]))}; expected {' or '.join(expected)}"
        ET.SubElement(case, "failure", message=message).text = cell["explanation"]
    ET.SubElement(case, "system-out").text = f"{cell['explanation']}\n{command}"


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
