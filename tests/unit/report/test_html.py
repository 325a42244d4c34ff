"""The page of a run: everything is on it, and nothing from the run becomes markup."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatester.analysis.comparison import Against, compare
from hatester.analysis.findings import Finding
from hatester.analysis.model import Measurement, Omission
from hatester.analysis.outcomes import lines
from hatester.matrix.plan import Cell, cell_of
from hatester.report.glossary import GLOSSARY
from hatester.report.html import render
from hatester.report.tables import grids
from hatester.results.folder import store
from hatester.results.repeat_command import repeat_command
from hatester.results.store import Results, begin
from hatester.runner.cell import not_measured
from tests.factories.evidence import A44, MASTER, OLD, PROCESSES, STATS, evidence
from tests.factories.html_reader import Reader
from tests.factories.runs import EVIDENCE, measured, stored, varied

CELL = Cell("6.1", "2.2", "plain", "lost-address", "signal")
HOSTILE = "</style></pre><script>alert(1)</script><img src=x onerror=alert(1)>&\"'{{ 7*7 }}\x00\x1b"


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return varied(tmp_path)


def test_the_page_says_what_the_run_was(run: Results) -> None:
    text = Reader(render(run, [Finding("hitless by cli", ("All was well.",))])).text
    for expected in (
        f"Run {run.run.run}", "Linux-6.1", "QEMU 7.2", "tcg", "not yet, or it was interrupted",
        "7 cells", "2 outage", "1 silent", "1 error", "hitless by cli", "All was well.",
    ):  # fmt: skip
        assert expected in text
    run.finish()
    assert "interrupted" not in render(run, [])


def test_each_cell_says_what_the_tables_say_and_leads_to_its_story(run: Results) -> None:
    page = Reader(render(run, []))
    assert len(page.all("a", "cell")) == 7
    stories = {each["id"] for each in page.all("article", "story")}
    assert {f"#{story}" for story in stories} == {each["href"] for each in page.all("a", "cell")}
    for grid in grids(run.cells):
        for cells in grid.cells.values():
            for line in lines(cells):
                assert line.replace(" ~", "\N{NO-BREAK SPACE}~") in page.text.replace(" ", " ")


def test_every_link_within_the_page_has_its_target(run: Results) -> None:
    page = Reader(render(run, []))
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = {each["href"] for each in page.all("a")}
    assert {link[1:] for link in links if link and link.startswith("#")} <= set(ids)


def test_a_story_has_the_evidence(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["outage"], console="Kernel panic")])
    page = Reader(render(run, []))
    entry = run.cells[0]
    expected = page.text.casefold()
    for clause in entry.explanation.split("; "):
        assert clause.casefold() in expected
    assert repeat_command(run, entry) in page.text
    assert f"{A44} outage 2.02 s 200 100 refused" in page.text
    assert "HAProxy reported failure at +2.05 s, which was true" in page.text
    assert "+2.00 s after the reload of step 6" in page.text
    assert "refused outside empty" in page.text
    assert "cannot bind socket" in page.text
    assert "Kernel panic" in page.text
    assert "late by 0 ms at the median" in page.text
    assert len(page.all("svg")) == 1
    for link in (each["href"] for each in page.all("a")):
        assert link
        assert link.startswith("#") or (run.folder / link).exists()


def test_what_haproxy_reported_wrongly_is_said_so(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["silent"])])
    assert "reported success at +2.05 s, which was not true" in Reader(render(run, [])).text


def test_latency_and_processes_of_a_reload_are_reported(tmp_path: Path) -> None:
    source = evidence(processes=[*PROCESSES[:2], {**PROCESSES[2], "end": 9.0}])
    source["usage"] = [[3.0, OLD, 9_000_000, 0.5, 7], [3.0, MASTER, 8_000_000, 0.1, 5]]
    page = Reader(render(stored(tmp_path, [measured(CELL, source)]), []))
    assert "Answers took 1/1/1 ms before it" in page.text
    assert (
        f"Old worker {OLD}: was still there, 5.2 s old, with 9 MB, 0.50 s of processor time and 7 "
        "open files, left"
    ) in page.text
    assert "Master: with 8 MB, 0.10 s of processor time and 5 open files" in page.text


def test_an_outage_has_the_share_that_failed(tmp_path: Path) -> None:
    windows = [(at / 100, at / 100 + 0.019, "wrong") for at in range(150, 250, 4)]
    page = Reader(render(stored(tmp_path, [measured(CELL, evidence({A44: windows}))]), []))
    assert f"{A44} outage 1.00 s (half) 200 25 wrong" in page.text


def test_counters_that_grew_are_named(tmp_path: Path) -> None:
    result = measured(CELL, EVIDENCE["ok"])
    [reload] = result.cell.reloads
    grown = reload.model_copy(update={"counters": {"ListenDrops": 12, "ListenOverflows": 0}})
    cell = result.cell.model_copy(update={"reloads": (grown,)})
    text = Reader(render(stored(tmp_path, [Measurement(cell, result.timeline)]), [])).text
    assert "Counters that grew: ListenDrops by 12" in text
    assert "ListenOverflows" not in text


def test_addresses_that_are_well_are_reported_together(tmp_path: Path) -> None:
    text = Reader(render(stored(tmp_path, [measured(CELL, EVIDENCE["lossy"])]), [])).text
    assert f"{A44} lossy 200 1 reset" in text
    assert f"192.168.42.45:80, {STATS} ok 400" in text


def test_only_the_end_of_a_long_log_is_on_the_page(tmp_path: Path) -> None:
    console = "".join(f"line {number}.\n" for number in range(1, 1001))
    run = stored(tmp_path, [measured(CELL, EVIDENCE["ok"], console=console)])
    text = Reader(render(run, [])).text
    assert "900 lines stand before" in text
    assert "line 901." in text
    assert "line 900." not in text


def test_repetitions_of_a_cell_are_one_story_with_several_drawings(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["ok"] | {"seed": 3})], seeds=(3, 8))
    run.add(measured(CELL, EVIDENCE["outage"] | {"seed": 8}, repetition=2))
    page = Reader(render(run, []))
    [cell] = page.all("a", "cell")
    assert "outage" in (cell["class"] or "").split()
    assert len(page.all("article", "story")) == 1
    assert len(page.all("svg")) == 2
    assert "ok 1/2 outage 2.0 s refused 1/2" in page.text
    assert "1 cell, 2 measurements" in page.text
    assert [f"Seed {seed} " in page.text for seed in (3, 8, 2)] == [True, True, False]


def test_cells_without_a_result_are_reported_with_the_reason(run: Results) -> None:
    text = Reader(render(run, [])).text
    assert "Not measured no image 6.1/3.0/plain/address-returns/signal" in text
    assert "no-fd-passing needs HAProxy 3.0 6.1/2.2/no-fd-passing/lost-address/signal" in text


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        (json.dumps(evidence(labels=[])), "It ended before any connection was made."),
        ('{"probes": [[0]]}', "timeline.json is not a timeline (interval: "),
        ("[", "timeline.json is not JSON (Expecting value"),
        ("[" * 100_000, "timeline.json is not JSON (maximum recursion depth"),
        ("[]", "timeline.json is not a JSON object."),
        (None, "timeline.json is missing."),
    ],
)
def test_a_cell_without_a_timeline_is_reported_as_far_as_it_goes(
    tmp_path: Path, timeline: str | None, expected: str
) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["outage"])])
    store(run.evidence(run.cells[0]), {"timeline.json": timeline})
    page = Reader(render(run, []))
    assert expected in page.text
    assert page.all("svg") == []
    assert "outage 2.0 s refused" in page.text


def test_evidence_that_is_not_as_it_was_written_is_not_shown(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["outage"], console="panic")])
    for name in ("timeline.json", "haproxy.log", "console.log"):
        file = run.evidence(run.cells[0]) / name
        file.write_text(file.read_text().replace("1", "2", 1) + "never said")
    page = Reader(render(run, []))
    for name in ("timeline.json", "haproxy.log", "console.log"):
        assert f"{name} is not as it was written." in page.text
    assert page.all("svg") == []
    assert "never said" not in page.text
    assert "outage 2.0 s refused" in page.text


def test_a_cell_that_never_began_is_reported_so(tmp_path: Path) -> None:
    page = Reader(render(stored(tmp_path, [not_measured(CELL, 1, "no image")]), []))
    assert "Nothing of it was stored: the cell never began." in page.text


def test_a_run_without_cells_has_a_page(tmp_path: Path) -> None:
    assert "0 cells" in Reader(render(stored(tmp_path, []), [])).text


def test_a_page_says_how_much_of_an_interrupted_run_there_is(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["ok"])], seeds=(0, 1))
    text = Reader(render(run, [])).text
    assert "1 of 2 cells were measured." in text
    assert f"Not measured yet 1 cell {CELL.id}" in text
    run.add(measured(CELL, EVIDENCE["ok"] | {"seed": 1}, repetition=2))
    assert "were measured." not in Reader(render(run, [])).text


def test_a_planned_cell_is_drawn_as_missing_and_is_filtered(tmp_path: Path) -> None:
    other = Cell("6.12", "2.2", "plain", "lost-address", "signal")
    run = begin(tmp_path, {}, [CELL, other])
    run.add(measured(CELL, EVIDENCE["ok"]))
    page = Reader(render(run, []))
    [missing] = page.all("span", "cell")
    assert {"missing", "v0-1", "v1-1"} <= set((missing["class"] or "").split())
    assert "6.12 missing" in page.text
    assert "1 missing planned, and not measured (yet)" in page.text
    # A repetition that is missing is counted in its cell.
    twice = stored(tmp_path, [measured(CELL, EVIDENCE["ok"])], seeds=(0, 1))
    assert "ok 1 missing" in Reader(render(twice, [])).text


def test_anchors_stay_the_same_when_a_run_is_resumed(tmp_path: Path) -> None:
    first, second = Cell("5.10", "b &", *["s"] * 3), CELL
    run = begin(tmp_path, {}, [first, second])
    run.add(measured(second, EVIDENCE["ok"]))
    before = {each["id"] for each in Reader(render(run, [])).all("section") if "id" in each}
    assert before == {f"{second.id}/1"}
    run.add(measured(first, EVIDENCE["ok"]))
    after = [each["id"] for each in Reader(render(run, [])).all("article")]
    assert after == ["5.10/b%20%26/s/s/s", second.id]


def test_worst_cells_come_first(run: Results) -> None:
    page = render(run, []).partition('class="worst"')[2]
    ids = re.findall(r'<a href="#(.*?)">', page)[:5]
    assert ids == [
        "6.1/2.2/plain/address-returns/signal",
        "6.1/3.0/plain/lost-address/signal",
        "5.10/2.2/plain/lost-address/signal",
        "6.1/2.2/plain/lost-address/signal",
        "5.10/3.0/plain/lost-address/signal",
    ]


def test_changes_from_an_earlier_run_are_on_the_page(run: Results, tmp_path: Path) -> None:
    gone = Cell("4.19", "2.2", "plain", "lost-address", "signal")
    earlier = stored(tmp_path, [measured(each, EVIDENCE["ok"]) for each in (CELL, gone)])
    against = Against(earlier.run.run, compare(earlier.cells, run.cells))
    page = Reader(render(run, [], against))
    assert f"Against {earlier.run.run} 1 cell got worse" in page.text
    assert f"worse {CELL.id} ok → outage 2.0 s refused" in page.text
    assert f"disappeared {gone.id} ok" in page.text
    links = {each["href"] for each in page.all("a")}
    assert f"#{CELL.id}" in links
    assert f"#{gone.id}" not in links


def test_builds_that_were_described_are_named_by_version(tmp_path: Path) -> None:
    run = stored(tmp_path, [measured(CELL, EVIDENCE["ok"])])
    run.run = run.run.model_copy(update={"builds": {"2.2": "/opt/haproxy"}})
    assert "HAProxy 2.2.9 (2.2)" not in Reader(render(run, [])).text
    named = CELL.id.replace("2.2", "haproxy")
    run = stored(tmp_path, [measured(cell_of(named), EVIDENCE["ok"])])
    run.run = run.run.model_copy(update={"builds": {"haproxy": "/opt/haproxy"}})
    text = Reader(render(run, [])).text
    assert "Linux HAProxy 2.2.9 (haproxy) 6.1 ok" in text
    assert "HAProxy 2.2.9 (haproxy) on Linux 6.1" in text


def test_durations_are_on_the_page(tmp_path: Path) -> None:
    result = measured(CELL, EVIDENCE["ok"])
    cell = result.cell.model_copy(update={"seconds": 303.4})
    text = Reader(render(stored(tmp_path, [Measurement(cell, result.timeline)]), [])).text
    assert "Measuring took 5 min 3 s, of all cells together" in text
    assert "Measuring took 5 min 3 s Seed" in text


def test_glossary_has_the_words_of_the_document() -> None:
    document = Path(__file__).parents[3] / "docs/reading-results.md"
    text = document.read_text()
    _, _, words = text.partition("## Verdicts")
    tabled = re.findall(r"^\| `(\w+)` \|", words, re.MULTILINE)
    assert tabled
    assert {*tabled} <= {*GLOSSARY}
    for word in GLOSSARY:
        assert word in text, word


def test_there_is_a_filter_for_what_differs_and_for_nothing_else(run: Results) -> None:
    page = Reader(render(run, []))
    # Kernels, builds, scenarios and verdicts; there is one setting, and one method.
    assert len(page.all("fieldset")) == 4
    assert len(page.all("input")) == 2 + 2 + 2 + 6
    one = stored(run.folder.parent, [measured(CELL, EVIDENCE["ok"])])
    assert Reader(render(one, [])).all("form") == []


def test_nothing_is_fetched_and_nothing_runs(run: Results) -> None:
    page = Reader(render(run, []))
    assert {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
    } == set()
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert not (attributes.get("href") or "").startswith(("http", "//", "javascript"))
    [style] = re.findall(r"<style>(.*?)</style>", render(run, []), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style


def spoilt(folder: Path, text: str) -> Results:
    """Return a run that has a text wherever a run has texts."""
    name = re.sub("[/\x00-\x1f]", "", text) or "nothing"
    cell = Cell(*[f"n{name}"] * 5)
    evidence = json.loads(json.dumps(EVIDENCE["outage"]))
    evidence["log"] = [[2.0, f"[ALERT] {text}"]]
    result = measured(cell, evidence)
    [reload] = result.cell.reloads
    addresses = {**reload.addresses, text: reload.addresses[A44]}
    changes = {"config": text, "counters": {text: 1}, "addresses": addresses}
    entry = result.cell.model_copy(
        update={
            "explanation": text,
            "kernel": result.cell.kernel.model_copy(update={"release": text}),
            "reloads": (reload.model_copy(update=changes),),
        }
    )
    lost = not_measured(Cell(f"x{name}", *[f"n{name}"] * 4), 1, text)
    run = begin(folder, {"system": text, "qemu": text}, [cell, cell_of(lost.cell.id)])
    omission = Omission(id="a/b/c/d/e", reason=text)
    run.run = run.run.model_copy(update={"run": text, "left_out": (omission,)})
    # A name that is too long for a file leaves no evidence.
    if len(name.encode(errors="replace")) > 60:
        run.run = run.run.with_cells([entry, lost.cell])
        return run
    for each in (Measurement(entry, result.timeline, text), lost):
        run.add(each)
    return run


@given(st.text(max_size=20).map(lambda text: text + HOSTILE) | st.just(HOSTILE.replace("\0", "")))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_hostile_texts_stay_texts(tmp_path: Path, text: str) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    page = render(spoilt(tmp_path, text), [Finding(text, (text,))])
    read = Reader(page)
    assert {tag for tag, _ in read.elements} & {"script", "img"} == set()
    for _, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in read.text
    assert page.encode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", page)
    # Filters know names by their numbers only.
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "alert(1)" not in style
