"""A plan that two machines measure has the results that it has on one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.factories.live_run import QUICK, newest
from tests.factories.project import copy_project, invoke

PLAN = [*QUICK, "--repeat", "2", "--clock", "virtual"]
"""Two cells, in a guest each: two batches."""


@pytest.fixture
def machines(tmp_path: Path) -> list[Path]:
    """Return three copies of the project, each with results of its own."""
    return [copy_project(tmp_path / name) for name in ("whole", "first", "second")]


def measure(machine: Path, flags: Sequence[str]) -> list[dict[str, Any]]:
    """Return the cells of a run, without how long the host took for them."""
    done = invoke("matrix", *PLAN, *flags, folder=machine, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return cells(machine)


def cells(machine: Path) -> list[dict[str, Any]]:
    return [{**cell, "seconds": None} for cell in newest(machine)["cells"]]


def test_shards_make_the_run_that_one_machine_makes(machines: list[Path]) -> None:
    flags: list[list[str]] = [[], ["--shard", "1/2"], ["--shard", "2/2"]]
    with ThreadPoolExecutor() as pool:
        whole, *parts = pool.map(measure, machines, flags)
    _, first, second = machines
    assert [[cell["seed"] for cell in part] for part in parts] == [[0], [1]]
    copied = shutil.copytree(second / "results/latest", first / "shard-2")
    done = invoke("merge", "latest", str(copied), folder=first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cells(first) == [*parts[0], *parts[1]]
    _require_same(cells(first), whole)
    # A cell that none of the merged runs has is measured afterwards.
    assert invoke("merge", "latest", folder=second).returncode == 3
    done = invoke("matrix", "--resume", folder=second, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    _require_same(cells(second), whole)


def _require_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Require the same cells with the same results, as far as a guest's clock decides them."""
    for one, other in zip(found, expected, strict=True):
        for name in ("id", "seed", "kernel", "haproxy", "clock", "verdict"):
            assert one[name] == other[name]
        for before, after in zip(other["reloads"], one["reloads"], strict=True):
            # An event within a millisecond of a probe may be seen by that or by the next.
            assert abs(after["reported_at"] - before["reported_at"]) < 0.01


def test_a_shard_without_cells_boots_nothing_and_is_well(machines: list[Path]) -> None:
    assert measure(machines[0], ["--shard", "2/3"]) == []
