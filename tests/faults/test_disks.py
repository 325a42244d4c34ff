"""Disks that are full: what was measured is whole, and it goes on where there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.artifacts import cache
from tests.factories.live_run import QUICK, comes_through, machines_of_runs, newest, running
from tests.factories.project import invoke

WORDS = (*QUICK, "--jobs", "1", "--probe-interval", "100ms", "--repeat", "2")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk"),
]


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk that is soon full."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that there is."""
    filling = folder / "filling"
    with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filling


def test_results_that_cannot_be_written_end_the_run_and_it_goes_on_when_there_is_room(
    checkout: Path,
) -> None:
    with small_disk(checkout / "results", "32M") as results:
        with running(checkout, *WORDS) as matrix:
            matrix.wait_for("[1/2]")
            filling = fill(results)
            assert matrix.end(120) == 2, matrix.text
        assert "No space left on device" in matrix.text
        assert "Traceback" not in matrix.text
        assert not machines_of_runs()
        before = newest(checkout)["cells"]
        assert len(before) == 1
        filling.unlink()
        done = invoke("matrix", "--resume", "--jobs", "1", folder=checkout, seconds=300)
        assert done.returncode == 0, done.stderr
        after = newest(checkout)["cells"]
        assert len(after) == 2
        assert before[0] in after


def test_a_guest_whose_disk_cannot_grow_costs_its_cells_and_says_why(
    checkout: Path, tmp_path: Path
) -> None:
    base = tmp_path / "cache" / "hatester"
    base.mkdir(parents=True, mode=0o700)
    for kind in cache.root().iterdir():
        if kind.name != "runs":
            (base / kind.name).symlink_to(kind)
    with small_disk(base / "runs", "16M") as machines:
        env = {"XDG_CACHE_HOME": str(base.parent)}
        with running(checkout, *WORDS, **env) as matrix:
            matrix.wait_for("guest 6.1: going on")
            fill(machines)
            # 2 where a guest could not even be saved, which only the user can mend.
            assert matrix.end(300) in (2, 3), matrix.text
        assert "Traceback" not in matrix.text
        assert "full" in matrix.text or "No space" in matrix.text
        cells = newest(checkout)["cells"]
        assert all(cell["error"] or comes_through(cell) for cell in cells)
