"""Stored runs on disks that fail: no measured cell is lost or wrong, and the next run goes on."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from hatester.analysis.model import Measurement
from hatester.results.folder import run_names
from hatester.results.merge import merge
from hatester.results.store import Recomputed, begin, find
from hatester.util.errors import UserError
from tests.factories.evidence import evidence
from tests.factories.failing_disk import Disk, Image, read_image, restore, yes
from tests.factories.runs import HOST, measured
from tests.factories.stored_run import BRIEF, CELLS, LEFT, NEVER, OUT, WELL

BEFORE = measured(OUT, BRIEF, console="panic"), measured(WELL, evidence(interval=0.1))
AGAIN, NEW = measured(WELL, BRIEF, console="x"), measured(LEFT, BRIEF)
REST = {each.cell.id: each for each in (*BEFORE, NEW, measured(NEVER, BRIEF))}
NAME = "run"


def _begin(parent: Path) -> None:
    begin(parent, HOST, CELLS)


def _finish(parent: Path) -> None:
    run = find(parent, NAME)
    run.recompute()
    run.finish()


ACTS: dict[str, Callable[[Path], object]] = {
    "begin": _begin,
    "add": lambda parent: find(parent, NAME).add(NEW),
    "again": lambda parent: find(parent, NAME).add(AGAIN),
    "finish": _finish,
    "merge": lambda parent: merge(parent, [NAME]),
}
ADDED = {"add": NEW, "again": AGAIN}


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the host's own disk out of it, which would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return a disk with a run of four cells, of which two were measured."""
    parent = tmp_path_factory.mktemp("results")
    run = begin(parent, HOST, CELLS)
    for each in BEFORE:
        run.add(each)
    run.folder.rename(parent / NAME)
    return read_image(parent)


Make = Callable[[], AbstractContextManager[Disk]]


@pytest.fixture
def disk(memory: Path, whole: Image) -> Make:
    """Return what makes a new disk with that run."""
    numbers = itertools.count()

    @contextmanager
    def make() -> Iterator[Disk]:
        folder = restore(whole, memory / f"disk-{next(numbers)}")
        with closing(Disk(folder)) as disk, disk.mounted():
            yield disk

    return make


def _check(parent: Path, added: Measurement | None, *, is_acknowledged: bool) -> None:
    """Check that a run has all that it should, and goes on where it was left."""
    run = find(parent, NAME)
    there = {cell.id: cell for cell in run.cells}
    for each in BEFORE:
        possible = [each.cell]
        if added and added.cell.id == each.cell.id:
            possible = [added.cell] if is_acknowledged else [each.cell, added.cell]
        assert there[each.cell.id] in possible
    if added and is_acknowledged:
        assert there[added.cell.id] == added.cell
    assert run.recompute().changed == []
    left = {cell.id for cell, _ in run.left()}
    unsure = {added.cell.id} if added and not is_acknowledged else set()
    assert not left & (there.keys() - unsure)
    with run.measuring():
        for id_ in left:
            run.add(REST[id_])
        run.finish()
    assert find(parent, NAME).left() == []
    assert find(parent, NAME).run == run.run


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("lasts", [False, True])
def test_failing_operation_loses_no_cell(disk: Make, memory: Path, name: str, lasts: bool) -> None:
    act, added = ACTS[name], ADDED.get(name)
    images: list[Image] = []
    has_failed, fails_at = True, 0
    while has_failed:
        number = (errno.ENOSPC, errno.EIO)[fails_at % 2]
        with disk() as failing:
            failing.fail(fails_at, number, lasts=lasts)
            try:
                act(failing.root)
                has_failed = failing.mend()
            except UserError as error:
                told = rf"(The lock )?/[^\n]*: {os.strerror(number)}\."
                assert re.fullmatch(told, str(error))  # noqa: PT017
                failing.mend()
                act(failing.root)
            # A failed operation must not leave behind anything that a cut takes away later.
            for image in (failing.image(), failing.image(yes, yes)):
                if image not in images:
                    images.append(image)
        fails_at += 1
    assert fails_at > 3
    for place, image in enumerate(images):
        _check(restore(image, memory / f"{place}"), added, is_acknowledged=True)


@pytest.mark.parametrize("name", ACTS)
def test_power_cut_loses_no_cell(disk: Make, memory: Path, name: str) -> None:
    act, added = ACTS[name], ADDED.get(name)
    with disk() as cut:
        images = cut.record(name)
        act(cut.root)
        end = cut.image()
    assert len(images) > 1
    for number, image in enumerate(images):
        _check(restore(image, memory / f"{number}"), added, is_acknowledged=False)
    _check(restore(end, memory / "end"), added, is_acknowledged=True)


def test_power_cut_leaves_a_whole_merged_run_or_none(disk: Make, memory: Path) -> None:
    with disk() as cut:
        images = cut.record("merge")
        merge(cut.root, [NAME])
        images.append(cut.image())
    counts = set()
    for number, image in enumerate(images):
        parent = restore(image, memory / f"{number}")
        runs = [find(parent, name) for name in run_names(parent)]
        assert all(run.cells == tuple(each.cell for each in BEFORE) for run in runs)
        assert all(run.recompute() == Recomputed([], []) for run in runs)
        counts.add(len(runs))
        merge(parent, [NAME])
        assert [*parent.glob(".merged*")] == []
    # The run itself; its copy; and `latest`.
    assert counts == {1, 2, 3}


def test_begun_run_stays(disk: Make, memory: Path) -> None:
    with disk() as cut:
        begin(cut.root / "elsewhere", HOST, CELLS).add(NEW)
        image = cut.image()
    parent = restore(image, memory / "cut") / "elsewhere"
    assert find(parent, "latest").cells == (NEW.cell,)


def test_short_writes_are_continued(disk: Make) -> None:
    with disk() as short:
        short.are_writes_short = True
        find(short.root, NAME).add(NEW)
    _check(short.root, NEW, is_acknowledged=True)
