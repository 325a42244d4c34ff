"""Drawings: all that a timeline has can be seen, and nothing in it becomes markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.timeline import read
from hatester.report.timeline_svg import Drawing, ticks
from hatester.util.text import for_xml
from tests.factories.cells import ID, cell_result, unmeasured_cell
from tests.factories.evidence import (
    A43,
    A44,
    A45,
    AT,
    STATS,
    UNTIL,
    everywhere,
    evidence,
    judge,
    reload,
)
from tests.factories.runs import ALERT, OWNERS, STEPS

SPARSE = "192.168.42.46:80"
SVG = "{http://www.w3.org/2000/svg}"


def drawn(made: Mapping[str, Any], steps: Sequence[Mapping[str, Any]] = STEPS) -> Element:
    """Return the drawing of evidence and its verdict."""
    return ElementTree.fromstring(
        Drawing(read({**made, "steps": steps}), cell_result(ID, judge(made))).draw()
    )


def titles(svg: Element, kind: str) -> list[str]:
    """Return the titles of everything that has a class."""
    return [
        each.findtext(f"{SVG}title") or ""
        for each in svg.iter()
        if kind in each.get("class", "").split() and each.find(f"{SVG}title") is not None
    ]


def width(svg: Element, kind: str, label: str) -> float:
    """Of the one run of an address that has a class."""
    [run] = [
        group
        for group in svg.iter(f"{SVG}g")
        if {"run", kind} <= set(group.get("class", "").split())
        if (group.findtext(f"{SVG}title") or "").startswith(f"{label}: ")
    ]
    box = run.find(f"{SVG}rect")
    assert box is not None
    return float(box.get("width", "0"))


def words(svg: Element) -> list[str]:
    """Return the visible words."""
    return [
        " ".join(filter(None, [text.text, *(span.text for span in text.iter(f"{SVG}tspan"))]))
        for text in svg.iter(f"{SVG}text")
    ]


def test_it_is_one_image_with_a_name_and_a_description() -> None:
    svg = drawn(evidence(everywhere((AT, AT + 2, "refused"))))
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title") == f"Timeline of {ID}"
    assert "did not answer for 2.0" in (svg.findtext(f"{SVG}desc") or "")


def test_an_outage_is_as_long_as_it_lasted() -> None:
    svg = drawn(evidence({A44: [(AT, AT + 2, "refused")], A45: [(AT, AT + 1, "refused")]}))
    assert width(svg, "refused", A44) == pytest.approx(2 * width(svg, "refused", A45), rel=0.05)
    [first, _] = titles(svg, "refused")
    assert first == (
        f"{A44}: 100 connections refused, 1.20 to 3.21 s (+0.00 to +2.00 s after the reload of "
        "step 6)"
    )


def test_one_lost_connection_of_a_long_cell_can_be_seen() -> None:
    made = evidence({STATS: [(2.0, 2.019, "reset")]}, end=60.0)
    assert width(drawn(made), "reset", STATS) >= 3


def test_what_was_not_expected_to_answer_is_reported_apart() -> None:
    svg = drawn(evidence({A44: [(AT, AT + 2, "refused")]}))
    [idle] = titles(svg, "idle")
    assert idle.startswith(f"{A43}: 300 connections unreachable")
    assert idle.endswith("; it was not expected to answer")
    assert "not expected to answer" in words(svg)


@pytest.mark.parametrize(
    "outcome", ["refused", "reset", "timeout", "unreachable", "empty", "wrong"]
)
def test_each_outcome_has_its_colour_its_word_and_its_legend(outcome: str) -> None:
    svg = drawn(evidence(everywhere((AT, AT + 2, outcome))))
    assert len([each for each in titles(svg, outcome) if not each.startswith(A43)]) == 3
    assert words(svg).count(outcome) >= 3
    assert outcome in words(svg)


def test_listeners_have_owners_below_their_lane() -> None:
    svg = drawn(evidence(everywhere((AT, AT + 2, "reset")), listeners=OWNERS))
    for kind, words_of_it in (("old", "old worker"), ("master", "master"), ("new", "new worker")):
        found = [each for each in titles(svg, kind) if each.startswith(A44)]
        assert found
        assert f"{A44} held by {words_of_it}, " in found[0]
        assert words_of_it in words(svg)
    assert "116 waiting at most" in titles(svg, "master")[0]
    assert [each.partition(" ")[0] for each in titles(svg, "nobody")][-3:] == [A44, A45, STATS]


def test_without_a_master_there_are_processes_and_no_workers() -> None:
    workers = [{"pid": 431, "kind": "worker", "start": 0.0, "end": 9.0}]
    made = evidence(processes=workers, listeners=OWNERS)
    assert "old process" in words(drawn(made))
    assert "old worker" not in words(drawn(made))


def test_steps_are_reported_by_number_verb_and_object() -> None:
    svg = drawn(evidence())
    assert {"1 start without", "6 reload with", "7 check"} <= set(words(svg))
    assert titles(svg, "change")[0].startswith("step 7: check, 3.20 s (+2.00 s after")


@pytest.mark.parametrize(
    ("reported", "failures", "kind", "text"),
    [
        ("failure", {}, "failure", "failure +2.05 s"),
        ("success", everywhere((AT, 9.0, "refused")), "untrue", "success +2.05 s, not true"),
        (None, {}, "nothing", "said nothing"),
    ],
)
def test_what_haproxy_said_stands_at_its_time(
    reported: str | None, failures: Any, kind: str, text: str
) -> None:
    at = None if reported is None else AT + 2.05
    made = evidence(failures, reloads=[reload(reported=reported, reported_at=at)])
    svg = drawn(made)
    assert titles(svg, kind) == [f"the reload of step 6: {text}"]
    assert text in words(svg)


def test_alerts_are_shown_and_other_lines_of_the_log_are_not() -> None:
    svg = drawn(evidence(log=[(3.1, ALERT), (3.2, "[WARNING] nothing much")]))
    assert titles(svg, "alert") == [f"{ALERT}, 3.10 s (+1.90 s after the reload of step 6)"]


def test_a_cell_that_could_not_be_judged_is_drawn_all_the_same() -> None:
    made = {**evidence(everywhere((0.0, 9.0, "refused"))), "steps": STEPS}
    cell = unmeasured_cell()
    svg = ElementTree.fromstring(Drawing(read(made), cell).draw())
    assert len(titles(svg, "refused")) == 3
    svg = ElementTree.fromstring(Drawing(read({**made, "reloads": [], "probes": []}), cell).draw())
    assert {A43, A44, A45, STATS} <= set(words(svg))


@given(start=st.integers(0, 10_000), length=st.integers(100, 1_000_000))
def test_ticks_are_round_few_and_within(start: int, length: int) -> None:
    begin, end = start / 100, (start + length) / 100
    found = ticks(begin, end)
    assert 2 <= len(found) <= 13
    assert begin - 1e-6 <= found[0] < found[-1] <= end + 1e-6
    assert f"{found[1] - found[0]:.0e}"[0] in "125"


def test_a_drawing_stays_small() -> None:
    losses = [(at, at + 0.019, "reset") for at in range(2, 40, 2)]
    made = evidence(everywhere(*losses), end=40.0, reloads=[reload(until=39.0)])
    cell = cell_result(ID, judge(made))
    assert len(Drawing(read({**made, "steps": STEPS}), cell).draw()) < 40_000


@given(st.text(max_size=30).map(lambda text: text + "<script>alert(1)</script>&\"'\x00\x1b[0m]]>"))
def test_hostile_texts_stay_texts(text: str) -> None:
    made = evidence({A44: [(AT, AT + 1, "reset")]}, log=[(2.0, f"[ALERT] {text}")], end=2.0) | {
        "reloads": [reload(reported=None, reported_at=None, until=1.9)]
    }
    made["addresses"] = [text, *made["addresses"][1:]]
    steps = [*STEPS, {"step": 8, "verb": "occupy", "what": text, "at": UNTIL}]
    cell = unmeasured_cell(text)
    svg = ElementTree.fromstring(Drawing(read({**made, "steps": steps}), cell).draw())
    allowed = {"svg", "title", "desc", "g", "line", "text", "tspan", "circle", "path", "rect"}
    assert {each.tag.removeprefix(SVG) for each in svg.iter()} <= allowed
    assert not [name for each in svg.iter() for name in each.attrib if name.startswith("on")]
    shown = "".join(svg.itertext())
    assert "<script>" in shown
    # XML knows one end of a line only.
    assert svg.findtext(f"{SVG}desc") == for_xml(text).replace("\r\n", "\n").replace("\r", "\n")


def test_the_holders_that_are_a_cause_are_framed() -> None:
    failures = everywhere((AT, AT + 2, "refused"))
    frames = titles(drawn(evidence(failures, listeners=OWNERS)), "cause")
    assert len(frames) == 3 * len({frame.partition(", ")[0] for frame in frames}) > 0
    assert any(each.startswith("a cause of the verdict: held by master, ") for each in frames)
    assert titles(drawn(evidence()), "cause") == []


def with_clients(**records: Sequence[Any]) -> Element:
    """Return the drawing of a cell with records of clients of .44, and of one that is not asked."""
    clients = {"addresses": [A44, SPARSE], **records}
    return drawn({**evidence(), "clients": clients, "certificates": {"aa": "old.pem"}})


def test_requests_that_clients_lost_are_marks_in_lanes_of_their_own() -> None:
    lost = [0, 2.0, 2.0, 2.1, "reset", "ECONNRESET", None, False, True]
    kept = [[0, 1.0, 1.0, 1.1, "ok", None, None, True, False], lost]
    seldom = [[1, 3.0, 3.0, 8.0, "timeout", None, None]]
    svg = with_clients(requests=kept, sparse=seldom)
    assert [each.partition(",")[0] for each in titles(svg, "reset")] == [
        f"{A44} by keep-alive: 1 request reset"
    ]
    assert titles(svg, "timeout")[0].startswith(f"{SPARSE} by sparse: 1 request timeout")
    assert {"keep-alive", "sparse", SPARSE} <= {*words(svg)}


def test_certificates_are_named_where_they_are_first_shown() -> None:
    shaken = [
        [0, at, at, at, at, "ok", None, None, mark, None, None]
        for at, mark in ((0.5, "aa"), (1.0, "aa"), (2.0, "bb"), (3.0, None))
    ]
    assert titles(with_clients(handshakes=shaken), "certificate") == [
        f"{A44} shows old.pem, from 0.50 s on",
        f"{A44} shows bb, from 2.00 s (+0.80 s after the reload of step 6) on",
    ]


def test_sessions_that_end_together_are_one_line() -> None:
    held = [[0, 0.5, 5.9, "alive", None, 9], *[[0, 0.5, 3.2, "reset", "ECONNRESET", 5]] * 2]
    svg = with_clients(sessions=held)
    assert titles(svg, "reset") == [f"{A44}: 2 sessions reset, 0.50 to 3.20 s"]
    assert titles(svg, "alive") == [f"{A44}: 1 session alive, 0.50 to 5.90 s"]
    assert {"sessions", "alive", "reset"} <= {*words(svg)}
