"""Results: on disk at once, whole, found again, and judged again by their evidence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hatester.analysis.cell_verdict import judge
from hatester.analysis.model import CellResult, Measurement, schema
from hatester.analysis.timeline import read
from hatester.matrix.plan import Cell
from hatester.results.folder import store
from hatester.results.repeat_command import repeat_command
from hatester.results.store import begin, find
from hatester.runner.cell import not_measured
from hatester.util.errors import UserError
from hatester.util.paths import PROJECT
from tests.factories import runs
from tests.factories.evidence import evidence

CELL = Cell("6.1", "2.2", "plain", "lost-address", "signal")


def measured(repetition: int = 1) -> Measurement:
    return runs.measured(CELL, evidence(), repetition)


def stored(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_each_cell_is_on_disk_when_it_was_added(tmp_path: Path) -> None:
    results = begin(tmp_path / "results", {"qemu": "7.2"}, [CELL], [(CELL, "it makes no sense")])
    before = stored(results.file)
    assert (before["schema"], before["cells"], before["finished"]) == (1, [], None)
    assert before["left_out"] == [{"id": CELL.id, "reason": "it makes no sense"}]
    results.add(not_measured(CELL, 1, "no image", console="panic"))
    assert find(results.folder.parent, "latest").cells == results.cells
    [entry] = stored(results.file)["cells"]
    assert (entry["id"], entry["verdict"], entry["error"]) == (CELL.id, "error", "no image")
    assert (results.folder / "cells" / CELL.id / "console.log").read_text() == "panic"
    results.finish()
    assert stored(results.file)["finished"]


def test_repetitions_of_a_cell_lie_side_by_side(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL], seeds=(0, 1))
    for repetition in (1, 2):
        results.add(measured(repetition))
    folder = results.folder / "cells" / CELL.id
    for name in ("timeline.json", "haproxy.log"):
        assert (folder / name).exists()
        assert (folder / "repetition-2" / name).exists()


def test_cells_stand_in_the_order_of_the_plan_whichever_ends_first(tmp_path: Path) -> None:
    cells = [dataclasses.replace(CELL, kernel=name) for name in ("7.2", "5.10", "6.1")]
    results = begin(tmp_path, {}, cells, seeds=(0, 1))
    for number, repetition in ((2, 1), (0, 2), (1, 1), (0, 1)):
        results.add(not_measured(cells[number], repetition, "no image"))
    results.finish()
    found = [(cell["kernel"]["name"], cell["repetition"]) for cell in stored(results.file)["cells"]]
    assert found == [("7.2", 1), ("5.10", 1), ("6.1", 1), ("7.2", 2)]


def test_a_stored_run_is_found_and_judged_alike_by_its_evidence(tmp_path: Path) -> None:
    other = dataclasses.replace(CELL, kernel="9")
    results = begin(tmp_path, {}, [CELL, other])
    results.add(measured())
    results.add(not_measured(other, 1, "no image"))
    results.write()
    before = results.file.read_text()
    for name in ("latest", results.folder.name, str(results.folder)):
        found = find(tmp_path, name)
        assert found.recompute() == ([], [])
        assert found.file.read_text() == before


def test_a_verdict_that_does_not_follow_from_the_evidence_is_put_right(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL])
    truth = measured()
    wrong = truth.cell.model_copy(update={"verdict": "lossy"})
    results.add(Measurement(wrong, truth.timeline))
    assert find(tmp_path, "latest").recompute() == ([CELL.id], [])
    assert find(tmp_path, "latest").cells == (truth.cell,)
    [cell] = stored(results.file)["cells"]
    assert CellResult.model_validate_json(json.dumps(cell)) == truth.cell


def test_a_failed_measurement_is_no_verdict_whatever_was_seen(tmp_path: Path) -> None:
    timeline = {**evidence(), "failed": "the guest died"}
    found = judge(read(timeline))
    assert (found.verdict, found.error, found.reloads) == ("error", "the guest died", ())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lastest", r"there is no 'lastest'; did you mean latest\?"),
        ("broken", r"broken/run.json is not as it was written, and .*/plan.json is missing"),
        ("newer", r"newer/run.json has an unknown form .*, and .*/plan.json is missing"),
        (
            "old",
            r"old: the form of this run is not known \(it has no SHA256SUMS\). Measure it anew",
        ),
        ("empty", "empty is not a run: it has neither run.json nor plan.json"),
        ("gone", r"gone points at nowhere, which is not there \(there are: .*latest"),
        ("file", "file is not a run"),
        ("../../etc", r"there is no '../../etc'|etc is not a run"),
        ("/dev/null", "/dev/null is not a run"),
        ("", "is not a run"),
        ("x" * 5000, "is not a run that can be read: File name too long"),
    ],
)
def test_a_run_that_cannot_be_shown_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    begin(tmp_path, {}, [CELL])
    store(tmp_path / "broken", {"run.json": "{}"})
    (tmp_path / "broken/run.json").write_text("{")
    store(tmp_path / "newer", {"run.json": '{"schema": 2}'})
    (tmp_path / "old").mkdir()
    (tmp_path / "old/run.json").write_text('{"schema": 1}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=sentence):
        find(tmp_path, name)
    assert contents(tmp_path) == before


def test_latest_points_at_the_newest_of_runs_of_the_same_second(tmp_path: Path) -> None:
    runs = [begin(tmp_path, {}, [CELL]) for _ in range(3)]
    assert len({run.folder for run in runs}) == 3
    assert (tmp_path / "latest").resolve() == runs[-1].folder
    assert not list(tmp_path.glob(".*"))


def test_a_place_that_cannot_hold_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match="results cannot hold results"):
        begin(tmp_path / "results", {}, [CELL])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_in_the_way_of_latest_is_named_and_stays(tmp_path: Path, kind: str) -> None:
    latest = tmp_path / "latest"
    latest.mkdir() if kind == "folder" else latest.touch()
    with pytest.raises(UserError, match="latest is in the way of the symbolic link"):
        begin(tmp_path, {}, [CELL])
    assert [latest] == list(tmp_path.iterdir())


def test_what_is_left_is_what_was_planned_and_is_not_there(tmp_path: Path) -> None:
    cells = [dataclasses.replace(CELL, kernel=name) for name in ("7.2", "5.10", "6.1")]
    begin(tmp_path, {}, cells, seeds=(4, 7), clock="virtual", probe_interval=0.05)
    results = find(tmp_path, "latest")
    assert results.left() == results.run.tasks == [(c, n) for n in (1, 2) for c in cells]
    results.add(measured())
    results.add(not_measured(cells[1], 1, "no image", seed=4))
    assert results.left() == [(cells[0], 1), (cells[0], 2), (cells[1], 2), (cells[2], 2)]
    assert results.left(["error"])[1] == (cells[1], 1)
    assert results.left(["outage", "down"]) == results.left()
    # A cell that was not measured has no clock of its own.
    for cell, clock in zip(results.cells, ("virtual", "real"), strict=True):
        command = repeat_command(results, cell)
        assert command.endswith(f" --probe-interval 0.05s --seed {cell.seed} --clock {clock}")


def test_what_is_measured_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL], seeds=(0, 1))
    results.add(measured(repetition=2))
    results.add(not_measured(CELL, 1, "no image", console="panic"))
    results.add(measured())
    assert [each.verdict for each in results.cells] == [measured().cell.verdict] * 2
    folder = results.folder / "cells" / CELL.id
    assert not (folder / "console.log").exists()
    assert (folder / "repetition-2/timeline.json").exists()


def test_what_was_measured_is_not_lost_to_an_error(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL])
    results.add(measured())
    before = contents(results.folder)
    results.add(not_measured(CELL, 1, "no image"))
    assert contents(results.folder) == before
    assert results.left(["error"]) == []


def test_run_json_is_brought_up_to_date_now_and_then_and_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("hatester.results.store.time.monotonic", lambda: now[0])
    cells = [dataclasses.replace(CELL, kernel=name) for name in ("5.10", "6.1", "6.12")]
    results = begin(tmp_path, {}, cells)
    counts = []

    def measure() -> None:
        with results.measuring():
            for moment, cell in zip((1.0, 6.0, 7.0), cells, strict=True):
                now[0] = moment
                results.add(not_measured(cell, 1, "no image"))
                counts.append(len(stored(results.file)["cells"]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure()
    assert [*counts, len(stored(results.file)["cells"])] == [0, 2, 2, 3]


def test_the_published_schema_is_that_of_the_model() -> None:
    assert json.loads((PROJECT / "docs/run.schema.json").read_text()) == schema()


def test_a_stored_run_keeps_the_names_of_its_fields(tmp_path: Path) -> None:
    results = begin(tmp_path, {"qemu": "7.2"}, [CELL])
    results.add(measured())
    results.finish()
    run = stored(results.file)
    assert {"schema", "run", "started", "finished", "host", "cells", "planned"} <= run.keys()
    [cell] = run["cells"]
    assert {
        "id", "kernel", "haproxy", "setting", "scenario", "method", "verdict", "silent", "error",
        "seconds", "explanation", "quality", "checks", "reloads", "causes", "clock", "cpus", "seed",
    } <= cell.keys()  # fmt: skip
    [reload] = cell["reloads"]
    assert {"true", "addresses", "listeners", "reported", "steady"} <= reload.keys()


def test_a_timeline_of_another_form_keeps_its_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = begin(tmp_path, {}, [CELL])
    results.add(measured())
    store(results.evidence(results.cells[0]), {"timeline.json": '{"probes": []}'})
    found = find(tmp_path, "latest")
    assert found.recompute() == ([], [CELL.id])
    assert found.cells == results.cells
    assert "timeline.json is not a timeline (" in capsys.readouterr().err
