"""junit.xml: a run as test cases, as CI systems show them.

The format is that of Jenkins' junit plugin (its junit-10.xsd): a suite for each table, a case for
each measurement, a class for each kernel and build. Cases have properties, as those of pytest do.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from hatester.analysis.expectation import Expectation
from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import lines, outcome
from hatester.matrix.plan import Cell, cell_of
from hatester.report import tables
from hatester.results.repeat_command import repeat_command
from hatester.results.store import Results
from hatester.util.text import for_xml

GOOD: tuple[str, ...] = ("ok", "unasked", "lossy")
"""The outcomes that pass without an expectation: the addresses went on answering."""


def render(results: Results, expectation: Expectation | None) -> str:
    """Return a case for each measurement; it passes if its outcome is expected, else if it is good.

    Cells that were left out, or not measured yet, are skipped; it is an error if no cell was
    measured, except in a shard without cells.
    """
    run = results.run
    root = ET.Element("testsuites", name=f"hatester {run.run}")
    for grid in tables.grids(run.cells):
        cells = [cell for repetitions in grid.cells.values() for cell in repetitions]
        cases = [_measured(cell, repeat_command(results, cell), expectation) for cell in cells]
        _add_suite(root, grid.title, cases)
    if run.missing and not run.cells:
        case = ET.Element("testcase", name=run.run, classname="hatester")
        ET.SubElement(case, "error", message="no cell was measured")
        _add_suite(root, "run", [case])
    left_out = [_skipped(cell_of(each.id), 1, each.reason) for each in run.left_out]
    _add_suite(root, "left out", left_out)
    missing = [_skipped(cell, number, "not measured yet") for cell, number in run.missing]
    _add_suite(root, "not measured", missing)
    for suite in root:
        suite.set("timestamp", _moment(run.started))
    ET.indent(root)
    return for_xml(ET.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _moment(started: str) -> str:
    """Return a time in UTC as the format has it: without an offset."""
    moment = datetime.datetime.fromisoformat(started).astimezone(datetime.timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _add_suite(root: ET.Element, name: str, cases: Sequence[ET.Element]) -> None:
    """Add a suite of cases with their numbers, if there are any."""
    if not cases:
        return
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    suite.extend(cases)
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))


def _case(cell: Cell, repetition: int) -> ET.Element:
    """Return an empty case. A dot separates packages, so the names in its class have none."""
    kernel, build = (name.replace(".", "_") for name in (cell.kernel, cell.build))
    name = f"{cell.id} ({repetition})" if repetition > 1 else cell.id
    return ET.Element("testcase", name=name, classname=f"hatester.Linux {kernel}.HAProxy {build}")


def _skipped(cell: Cell, repetition: int, reason: str) -> ET.Element:
    case = _case(cell, repetition)
    ET.SubElement(case, "skipped", message=reason)
    return case


def _measured(cell: CellResult, command: str, expectation: Expectation | None) -> ET.Element:
    case = _case(cell_of(cell.id), cell.repetition)
    case.set("time", f"{cell.seconds:.3f}")
    _add_properties(case, cell)
    missed = () if outcome(cell) in GOOD else GOOD
    if expectation:
        missed = expectation.missed(cell)
    if cell.error is not None:
        ET.SubElement(case, "error", message=cell.error)
    elif missed:
        message = f"{', '.join(lines([cell]))}; expected {' or '.join(missed)}"
        ET.SubElement(case, "failure", message=message).text = cell.explanation
    ET.SubElement(case, "system-out").text = f"{cell.explanation}\n{command}"
    return case


def _add_properties(case: ET.Element, cell: CellResult) -> None:
    """Add the conditions of a measurement, as far as they are known."""
    conditions = {
        "kernel.release": cell.kernel.release,
        "haproxy.version": cell.haproxy.version,
        "clock": cell.clock,
        "seed": str(cell.seed),
    }
    properties = ET.SubElement(case, "properties")
    for name, value in conditions.items():
        if value is not None:
            ET.SubElement(properties, "property", name=name, value=value)
