"""The figures of `invoke bench`: what a row says, and where they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatester.runner import bench
from hatester.runner.bench import Figure, store


def test_a_row_has_the_least_the_median_and_the_most() -> None:
    assert Figure("start", "s", (3.0, 1.0, 2.0004)).row == ("start", "s", 3, 1.0, 2.0, 3.0)


def test_figures_are_kept_with_the_machine_that_they_were_measured_on(tmp_path: Path) -> None:
    figures = [Figure("start", "s", (1.0, 2.0)), Figure("disk", "MiB", (30.5,))]
    content = json.loads(store(tmp_path, {"processors": 2}, figures).read_text())
    assert content["host"] == {"processors": 2}
    assert content["figures"] == [
        {"name": "start", "unit": "s", "values": [1.0, 2.0]},
        {"name": "disk", "unit": "MiB", "values": [30.5]},
    ]


def test_a_figure_that_could_not_be_had_is_said_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = [Figure("memory", "s", ()), Figure("start", "s", (1.0,))]
    monkeypatch.setattr(bench, "PARTS", {"all": lambda _subject: iter(figures)})
    subject = bench.Subject.__new__(bench.Subject)
    assert bench.measure(["all"], subject) == figures
    assert caplog.messages == ["memory: not measured", "start: 1.0 s"]
