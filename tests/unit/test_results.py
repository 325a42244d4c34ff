"""Results: on disk at once, whole, and found by the newest name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatester.cells import not_measured
from hatester.errors import UserError
from hatester.plan import Cell
from hatester.results import Results

CELL = Cell("6.1", "2.2", "plain", "lost-address", "signal")


def test_each_cell_is_on_disk_when_it_was_added(tmp_path: Path) -> None:
    results = Results(tmp_path / "results", {"qemu": "7.2"})
    stored = json.loads(results.file.read_text())
    assert (stored["schema"], stored["cells"], stored["finished"]) == (1, [], None)
    results.add(not_measured(CELL, "no image", console="panic"))
    [entry] = json.loads(results.file.read_text())["cells"]
    assert (entry["id"], entry["verdict"], entry["error"]) == (CELL.id, "error", "no image")
    assert (results.folder / "cells" / CELL.id / "console.log").read_text() == "panic"
    results.finish()
    assert json.loads(results.file.read_text())["finished"]


def test_latest_points_at_the_newest_of_runs_of_the_same_second(tmp_path: Path) -> None:
    runs = [Results(tmp_path, {}) for _ in range(3)]
    assert len({run.folder for run in runs}) == 3
    assert (tmp_path / "latest").resolve() == runs[-1].folder
    assert not list(tmp_path.glob(".*"))


def test_a_place_that_cannot_hold_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match="results cannot hold results"):
        Results(tmp_path / "results", {})
