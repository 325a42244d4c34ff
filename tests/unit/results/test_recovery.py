"""Stored runs: whatever happens to their files, no cell is lost and no verdict is wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.report.html import write_reports
from hatester.results import folder as folders
from hatester.results.store import Results, begin, find
from hatester.util import files
from hatester.util.errors import UserError
from tests.factories.hostile import examples
from tests.factories.runs import HOST, measured
from tests.factories.stored_run import (
    BRIEF,
    CELLS,
    IDS,
    LEFT,
    NEVER,
    OUT,
    WELL,
    contents,
    made,
    timeline,
    verdicts,
)


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return made(tmp_path)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("results")).folder


Damage = Callable[[bytes], bytes | None]
"""What becomes of a file's content; None: it is removed."""


def truncated(share: float) -> Damage:
    return lambda data: data[: int(share * len(data))]


def changed(share: float, mask: int) -> Damage:
    def change(data: bytes) -> bytes:
        at = int(share * len(data))
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] if data else b"?"

    return change


def replaced(content: bytes | None) -> Damage:
    return lambda data: content


GARBAGE = [None, b"", b"[]", b"{}", b"[" * 100_000, b'{"schema": 1}', b'{"a": NaN}', b"\xff\0"]
SHARES = st.floats(0, 1, exclude_max=True)
DAMAGES = (
    SHARES.map(truncated)
    | st.builds(changed, SHARES, st.integers(1, 255))
    | st.sampled_from(GARBAGE).map(replaced)
)


@given(data=st.data())
@examples(0.5)
def test_no_damage_makes_a_wrong_verdict_or_loses_a_cell_that_is_whole(
    original: Path, data: st.DataObject
) -> None:
    before = contents(original)
    names = st.sampled_from(sorted(before))
    spoilt = dict(before)
    for name in data.draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        damage = data.draw(DAMAGES | names.map(lambda other: replaced(before[other])))
        spoilt[name] = damage(before[name]) or b""
        if damage(before[name]) is None:
            del spoilt[name]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in spoilt.items():
            (Path(folder, name)).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(content)
        _check(Path(folder), before, {name for name in before if before[name] != spoilt.get(name)})


def _check(folder: Path, before: dict[str, bytes], damaged: set[str]) -> None:
    """Check a run of which some files were damaged; `before` is its content as it was made."""
    with tempfile.TemporaryDirectory() as place:
        for name, content in before.items():
            Path(place, name).parent.mkdir(parents=True, exist_ok=True)
            Path(place, name).write_bytes(content)
        cells = {cell.id: cell for cell in find(Path(place), place).cells}
    spoilt = contents(folder)
    if "SHA256SUMS" in damaged or {"run.json", "plan.json"} <= damaged:
        with contextlib.suppress(UserError):
            assert {cell.id for cell in find(folder.parent, str(folder)).cells} <= cells.keys()
            return
        assert contents(folder) == spoilt
        return
    run = find(folder.parent, str(folder))
    of_cell = {id_: {name for name in damaged if name.startswith(f"cells/{id_}/")} for id_ in cells}
    # Of a damaged list of checksums, lines may be whole.
    whole = [
        id_
        for id_, names in of_cell.items()
        if not names & {f"cells/{id_}/cell.json", f"cells/{id_}/SHA256SUMS"}
    ]
    there = {cell.id: cell for cell in run.cells}
    assert {*whole} <= there.keys()
    assert there.items() <= cells.items()
    run.unproven()
    left = {cell.id for cell, _ in run.left()}
    timelines = {
        id_ for id_ in whole if f"cells/{id_}/timeline.json" in damaged and id_ != NEVER.id
    }
    assert ({*IDS} - there.keys()) | timelines <= left
    assert not left & ({*whole} - timelines)
    assert run.recompute().changed == []
    assert {cell.id: cell for cell in run.cells} == there
    assert find(folder.parent, str(folder)).run == run.run


class Killed(BaseException):
    """An end that no code handles, like that by kill -9."""


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> Iterator[None]:
    """Have a write of a file fail, after so many that do not."""
    left = iter(range(number))

    def write_whole(path: Path, content: str) -> None:
        if next(left, None) is None:
            raise error
        files.write_whole(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(folders, "write_whole", write_whole)
        yield


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTS: dict[str, tuple[Callable[[Results], object], int]] = {
    "add": (lambda run: run.add(measured(LEFT, BRIEF, console="x")), 5),
    "again": (lambda run: run.add(measured(WELL, BRIEF, console="x")), 6),
    "finish": (lambda run: run.finish(), 3),
}
"""What is done with a run, and how many files it writes."""
MOMENTS = [(name, number) for name, (_, writes) in ACTS.items() for number in range(writes)]


@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_a_run_that_is_killed_at_any_moment_has_all_that_it_had(
    run: Results, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    act, writes = ACTS[name]
    with failing(monkeypatch, number, Killed()), pytest.raises(Killed):
        act(run)
    found = find(run.folder.parent, "latest")
    # A new cell is there once its checksums are, one that was measured again with its own file.
    replaced = ["outage", "outage", "error"]
    before = ["outage", "ok", "error"]
    assert verdicts(found) == (replaced if (name, number) == ("again", writes - 1) else before)
    assert found.recompute().changed == []
    assert found.cells == find(run.folder.parent, "latest").cells


def test_a_run_that_is_killed_before_run_json_is_written_loses_nothing(run: Results) -> None:
    before = run.file.read_bytes()
    run.add(measured(LEFT, BRIEF))
    assert run.file.read_bytes() == before
    found = find(run.folder.parent, "latest")
    assert verdicts(found) == ["outage", "ok", "error", "outage"]
    assert found.left() == []
    assert run.file.read_text() == found.run.to_json()


@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_on_a_full_disk_a_run_is_what_is_on_the_disk(
    run: Results, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    act, _ = ACTS[name]
    before = verdicts(run)
    message = r"(json|log|SHA256SUMS) cannot be written: No space left on device"
    with failing(monkeypatch, number, full()), pytest.raises(UserError, match=message):
        act(run)
    found = verdicts(find(run.folder.parent, "latest"))
    assert found == (["outage", "outage", "error"] if (name, number) == ("again", 5) else before)
    act(run)
    assert find(run.folder.parent, "latest").run == run.run


@pytest.mark.parametrize("number", range(3))
def test_on_a_full_disk_reports_are_named(
    run: Results, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    name = ("report.html", "report.md", "junit.xml")[number]
    message = rf"{re.escape(str(run.folder / name))} cannot be written: No space left on device"
    with failing(monkeypatch, number, full()), pytest.raises(UserError, match=message):
        write_reports(run, [], None)


def test_a_run_that_was_killed_as_it_began_is_not_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch, 1, Killed()), pytest.raises(Killed):
        begin(tmp_path, HOST, CELLS)
    [folder] = tmp_path.iterdir()
    with pytest.raises(UserError, match="the form of this run is not known"):
        find(tmp_path, folder.name)


def test_damaged_files_are_reported_and_quarantined_once(
    run: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = run.folder / "cells" / OUT.id / "cell.json"
    for file in (run.file, cell, timeline(run, 1)):
        file.write_text(file.read_text().replace("0", "1", 1))
    found = find(run.folder.parent, "latest")
    message = capsys.readouterr().err
    for file in (run.file, cell, timeline(run, 1)):
        assert f"{file} is not as it was written; quarantined as .{file.name}.damaged" in message
        assert file.with_name(f".{file.name}.damaged").is_file()
    assert run.file.read_text() == found.run.to_json()
    assert [each.id for each, _ in found.left()] == [OUT.id, WELL.id, LEFT.id]


def test_a_damaged_plan_is_written_again_from_run_json(run: Results) -> None:
    plan = run.folder / "plan.json"
    before = plan.read_bytes()
    plan.write_text("{}")
    assert find(run.folder.parent, "latest").run == run.run
    assert plan.read_bytes() == before


def test_a_cell_of_another_id_is_not_believed(
    run: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    source = run.evidence(run.cells[0])
    folder = run.folder / "cells" / LEFT.id
    folder.mkdir(parents=True)
    for name in ("cell.json", "SHA256SUMS"):
        shutil.copy(source / name, folder)
    assert find(run.folder.parent, "latest").cells == run.cells
    assert f"{folder}/cell.json is another cell's; quarantined" in capsys.readouterr().err


def test_the_run_json_of_another_run_is_not_taken_for_this_ones(
    run: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = made(tmp_path / "other")
    other.run = other.run.model_copy(update={"started": "2020-01-01T00:00:00+00:00"})
    folders.store(run.folder, {"run.json": other.run.to_json()})
    assert find(tmp_path, "latest").run == run.run
    assert "run.json is another run's; quarantined" in capsys.readouterr().err


def test_who_has_a_run_sees_what_another_wrote_before_and_not_what_killed_ones_left(
    run: Results,
) -> None:
    found = find(run.folder.parent, "latest")
    run.add(measured(LEFT, BRIEF))
    unfinished = run.folder / f"cells/{OUT.id}/.cell.json.1.2.{files.UNFINISHED}"
    unfinished.touch()
    with found.measuring():
        assert not unfinished.exists()
        assert found.left() == []
        found.finish()
    assert verdicts(find(run.folder.parent, "latest")) == ["outage", "ok", "error", "outage"]


@pytest.mark.parametrize("place", ["cells", f"cells/{LEFT.id}"])
def test_a_cell_that_leads_outside_of_its_run_is_refused(
    run: Results, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    shutil.rmtree(run.folder / place, ignore_errors=True)
    (run.folder / place).parent.mkdir(parents=True, exist_ok=True)
    outside.mkdir()
    (run.folder / place).symlink_to(outside)
    with pytest.raises(UserError, match=r"leads outside of its run\. Remove it\.$"):
        find(run.folder.parent, "latest")
    assert [*outside.iterdir()] == []


@pytest.mark.parametrize("id_", ["../../../../x", "6.1/../plain/lost-address/signal", "/a/b/c/d"])
def test_ids_that_lead_outside_are_not_read(run: Results, id_: str) -> None:
    for name in ("plan.json", "run.json"):
        text = (run.folder / name).read_text()
        folders.store(run.folder, {name: text.replace(LEFT.id, id_)})
    before = contents(run.folder)
    with pytest.raises(UserError, match="has an unknown form"):
        find(run.folder.parent, "latest")
    assert contents(run.folder) == before
