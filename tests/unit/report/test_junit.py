"""The report for CI servers: cases, their results and their conditions."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from hatester.analysis import expectation
from hatester.report import junit
from tests.factories.cells import ID, shown, unmeasured_cell, unwritten

OTHER = ID.replace("2.2", "3.0")


def cases(text: str) -> dict[str, ET.Element]:
    return {each.attrib["name"]: each for each in ET.fromstring(text).iter("testcase")}


def results_of(case: ET.Element) -> list[str]:
    return [each.tag for each in case if each.tag not in ("properties", "system-out")]


def test_a_case_passes_when_its_addresses_went_on_answering() -> None:
    cells = [
        shown("ok"),
        shown("lossy", lost=3, repetition=2),
        shown("outage", seconds=2.0, lost=99, id_=OTHER),
        unmeasured_cell("the guest died", id_=ID.replace("6.1", "7.3")),
    ]
    found = cases(junit.render(unwritten(*cells), None))
    assert {name: results_of(case) for name, case in found.items()} == {
        ID: [],
        f"{ID} (2)": [],
        OTHER: ["failure"],
        ID.replace("6.1", "7.3"): ["error"],
        "5.10/2.2/migrate-req/hitless/signal": ["skipped"],
        f"{OTHER} (2)": ["skipped"],
        f"{ID.replace('6.1', '7.3')} (2)": ["skipped"],
    }
    failure = found[OTHER].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "outage 2.0 s refused; expected ok or unasked or lossy"
    assert failure.text == "it is outage"
    again = found[OTHER].findtext("system-out") or ""
    assert "--haproxy 3.0" in again
    assert "--seed 0 --clock real" in again


def test_a_case_has_its_conditions_and_a_class_for_kernel_and_build() -> None:
    cells = [shown("ok", seed=7), unmeasured_cell(id_=OTHER)]
    text = junit.render(unwritten(*cells), None)
    found = cases(text)
    conditions = {
        name: {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        for name, case in found.items()
    }
    assert conditions[ID] == {
        "kernel.release": "6.1.0-49-cloud-amd64",
        "haproxy.version": "2.2.9",
        "clock": "real",
        "seed": "7",
    }
    assert conditions[OTHER] == {"haproxy.version": "3.0.9", "seed": "0"}
    assert found[ID].attrib["classname"] == "hatester.Linux 6_1.HAProxy 2_2"
    left_out = found["5.10/2.2/migrate-req/hitless/signal"]
    assert left_out.attrib["classname"] == "hatester.Linux 5_10.HAProxy 2_2"


def test_suites_have_time_stamps_and_durations() -> None:
    suites = [*ET.fromstring(junit.render(unwritten(shown("ok"), shown(id_=OTHER)), None))]
    assert {each.attrib["timestamp"] for each in suites} == {"2026-11-25T12:00:00"}
    assert [each.attrib["time"] for each in suites] == ["18.000", "0.000"]


def test_with_an_expectation_a_case_passes_when_it_is_met(tmp_path: Path) -> None:
    file = tmp_path / "expected.yml"
    file.write_text("'*/3.0/*': outage\n'*': ok\n")
    expected = expectation.load(str(file), [ID, OTHER], lambda _: ())
    cells = [shown("outage", seconds=2.0), shown("outage", seconds=2.0, id_=OTHER)]
    found = cases(junit.render(unwritten(*cells), expected))
    assert (results_of(found[ID]), results_of(found[OTHER])) == (["failure"], [])


def test_a_cell_that_is_missing_is_a_skipped_case_and_a_run_without_any_is_an_error() -> None:
    found = cases(junit.render(unwritten(shown("ok"), planned=[ID, OTHER]), None))
    assert (results_of(found[ID]), results_of(found[OTHER])) == ([], ["skipped"])
    text = junit.render(unwritten(planned=[ID]), None)
    assert [results_of(case) for case in cases(text).values()] == [
        ["error"],
        ["skipped"],
        ["skipped"],
    ]
