"""Results: on disk at once, whole, found again, and judged again by their evidence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hatester.analysis.model import Result
from hatester.analysis.verdict import judged
from hatester.matrix.plan import Cell
from hatester.results.store import begin, find
from hatester.runner.cell import not_measured
from hatester.util.errors import UserError
from tests.factories.evidence import evidence
from tests.factories.runs import aged

CELL = Cell("6.1", "2.2", "plain", "lost-address", "signal")


def measured(repetition: int = 1) -> Result:
    """A cell as it comes from a guest."""
    head = not_measured(CELL, repetition, "").entry
    head["kernel"] |= {"release": "6.1.0-50", "accelerator": "tcg"}
    head["haproxy"]["version"] = "2.2.9"
    timeline = json.loads(json.dumps(evidence()))
    return Result({**head, "clock": "real", "cpus": 2, **judged(timeline)}, timeline)


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
    found = [(cell["kernel"]["name"], cell["repetition"]) for cell in stored(results.file)["cells"]]
    assert found == [("7.2", 1), ("5.10", 1), ("6.1", 1), ("7.2", 2)]


def test_a_stored_run_is_found_and_judged_alike_by_its_evidence(tmp_path: Path) -> None:
    other = dataclasses.replace(CELL, kernel="9")
    results = begin(tmp_path, {}, [CELL, other])
    results.add(measured())
    results.add(not_measured(other, 1, "no image"))
    before = results.file.read_text()
    for name in ("latest", results.folder.name, str(results.folder)):
        found = find(tmp_path, name)
        assert found.recompute() == ([], [])
        assert found.file.read_text() == before


def test_a_verdict_that_does_not_follow_from_the_evidence_is_put_right(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL])
    truth = measured()
    results.add(Result({**truth.entry, "verdict": "lossy"}, truth.timeline))
    assert find(tmp_path, "latest").recompute() == ([CELL.id], [])
    [entry] = find(tmp_path, "latest").cells
    assert entry["verdict"] == truth.entry["verdict"] != "lossy"
    assert stored(results.file)["cells"] == [entry]


def test_a_failed_measurement_is_no_verdict_whatever_was_seen(tmp_path: Path) -> None:
    timeline = {**evidence(), "failed": "the guest died"}
    entry = judged(timeline)
    assert (entry["verdict"], entry["error"], entry["reloads"]) == ("error", "the guest died", [])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lastest", r"there is no 'lastest'; did you mean latest\?"),
        ("broken", "broken/run.json is no JSON"),
        ("foreign", "'schema' is a required property"),
        ("list", r"is no JSON object, and .*list/plan.json, by which .*, is not there"),
        ("newer", "newer/run.json: its schema is 2, not 1"),
        ("empty", "empty is no run: it has neither run.json nor plan.json"),
        ("gone", r"gone points at nowhere, which is gone \(there are: .*latest"),
        ("file", "file is no run"),
        ("../../etc", r"there is no '../../etc'|etc is no run"),
        ("/dev/null", "/dev/null is no run"),
        ("", "is no run"),
        ("x" * 5000, "is no run that can be read: File name too long"),
    ],
)
def test_a_run_that_cannot_be_shown_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    begin(tmp_path, {}, [CELL])
    runs = {"broken": "{", "foreign": "{}", "list": "[]", "newer": '{"schema": 2}'}
    for folder, content in runs.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.json").write_text(content)
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
    assert results.left() == results.planned == [(c, n) for n in (1, 2) for c in cells]
    results.add(measured())
    results.add(not_measured(cells[1], 1, "no image"))
    assert results.left() == [(cells[0], 1), (cells[0], 2), (cells[1], 2), (cells[2], 2)]
    assert results.left(["error"])[1] == (cells[1], 1)
    assert results.left(["outage", "down"]) == results.left()
    assert [each["seed"] for each in results.cells] == [4, 4]
    # What was not measured has no clock of its own.
    for entry, clock in zip(results.cells, ("virtual", "real"), strict=True):
        command = results.command(entry)
        assert command.endswith(f" --probe-interval 0.05s --seed 4 --clock {clock}")


@pytest.mark.parametrize("missing", ["planned", "seeds", "clock", "probe_interval"])
def test_a_run_that_does_not_say_how_it_was_planned_is_not_resumed(
    tmp_path: Path, missing: str
) -> None:
    results = begin(tmp_path, {}, [CELL])
    del results.run[missing]
    with pytest.raises(UserError, match="does not say what was planned"):
        results.left()


def test_a_kernel_that_no_file_declares_is_measured_again_by_what_led_to_it(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL], further={"kernels": {CELL.kernel: "trixie:6.16.*"}})
    results.add(not_measured(CELL, 1, "no image"))
    command = find(tmp_path, "latest").command(results.cells[0])
    assert f"--kernel 'trixie:6.16.*' --haproxy {CELL.build} " in command


def test_what_is_measured_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL], seeds=(0, 1))
    results.add(measured(repetition=2))
    results.add(not_measured(CELL, 1, "no image", console="panic"))
    results.add(measured())
    assert [each["verdict"] for each in results.cells] == [measured().entry["verdict"]] * 2
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


def test_a_run_that_does_not_say_what_was_planned_cannot_be_finished(tmp_path: Path) -> None:
    results = aged(begin(tmp_path, {}, [CELL]))
    del results.run["planned"]
    results.file.write_text(json.dumps(results.run))
    with pytest.raises(UserError, match=r"run\.json does not say what was planned"):
        find(tmp_path, "latest").left()


def test_a_build_that_the_flag_described_is_described_again(tmp_path: Path) -> None:
    given = {"haproxy-1.8.26": "docker://haproxy:1.8.26"}
    cell = dataclasses.replace(CELL, build="haproxy-1.8.26")
    results = begin(tmp_path, {}, [cell], further={"builds": given})
    found = find(tmp_path, results.folder.name)
    assert found.described_builds == given
    command = found.command({**not_measured(cell, 1, "").entry, "seed": 0})
    assert "--haproxy docker://haproxy:1.8.26 " in command
