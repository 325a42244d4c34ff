"""Stored runs: whatever becomes of their files, nothing measured is lost and nothing wrong told."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.report import writer
from hatester.report.html_cell import story
from hatester.results import recovery, schema
from hatester.results.store import Results, begin, find
from hatester.util import files
from hatester.util.errors import UserError
from tests.factories.hostile import examples
from tests.factories.runs import HOST, aged, measured
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


def test_a_run_that_has_lost_its_checksum_is_not_believed(run: Results) -> None:
    text = run.file.read_text().replace('"sha256": "', '"sha-256": "')
    run.file.write_text(text.replace('"verdict": "outage"', '"verdict": "lossy"'))
    recovery.cell_file(run.folder, run.cells[0]).unlink()
    assert verdicts(find(run.folder.parent, "latest")) == ["ok", "error"]


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


def test_no_file_of_a_run_is_taken_for_another(original: Path, tmp_path: Path) -> None:
    before = contents(original)
    sealed = [name for name in before if name.endswith(("run.json", "plan.json", "cell.json"))]
    for number, (name, other) in enumerate(itertools.permutations(sealed, 2)):
        folder = tmp_path / str(number)
        shutil.copytree(original, folder)
        shutil.copy(original / other, folder / name)
        _check(folder, before, {name})


def _check(folder: Path, before: dict[str, bytes], damaged: set[str]) -> None:
    entries = {entry["id"]: entry for entry in json.loads(before["run.json"])["cells"]}
    spoilt = contents(folder)
    if {"run.json", "plan.json"} <= damaged:
        with pytest.raises(UserError, match=r"run\.json .*plan\.json"):
            find(folder.parent, str(folder))
        assert contents(folder) == spoilt
        return
    run = find(folder.parent, str(folder))
    whole = [id_ for id_ in entries if not {"run.json", f"cells/{id_}/cell.json"} <= damaged]
    assert run.cells == [entries[id_] for id_ in whole]
    unproven = [id_ for id_ in whole if f"cells/{id_}/timeline.json" in damaged and id_ != NEVER.id]
    run.unproven()
    left = [id_ for id_ in IDS if id_ not in whole or id_ in unproven]
    assert [cell.id for cell, _ in run.left()] == left
    assert run.recompute() == ([], unproven)
    assert run.cells == [entries[id_] for id_ in whole]
    assert [bool(story(run, entry).drawing) for entry in run.cells] == [
        id_ not in unproven and id_ != NEVER.id for id_ in whole
    ]
    assert recovery.load(folder).damaged == {}
    assert json.loads((folder / "run.json").read_text())["cells"] == run.cells


class Killed(BaseException):
    """What nobody handles, as nobody can kill -9."""


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> Iterator[None]:
    """Have a write of a file fail, after so many that do not."""
    left = iter(range(number))

    def write_whole(path: Path, content: str) -> None:
        if next(left, None) is None:
            raise error
        files.write_whole(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(schema, "write_whole", write_whole)
        yield


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTS: dict[str, tuple[Callable[[Results], object], int]] = {
    "add": (lambda run: run.add(measured(LEFT, BRIEF, console="x")), 5),
    "again": (lambda run: run.add(measured(WELL, BRIEF, console="x")), 5),
    "finish": (lambda run: run.finish(), 2),
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
    # A cell is there once its own file is, which is the last but run.json.
    after = {"add": ["outage", "ok", "error", "outage"], "again": ["outage", "outage", "error"]}
    before = ["outage", "ok", "error"]
    assert verdicts(found) == (after.get(name, before) if number == writes - 1 else before)
    assert found.recompute().changed == []
    assert found.cells == find(run.folder.parent, "latest").cells


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("kind", ["early", "run.json", "cell.json"])
def test_a_run_that_is_killed_while_it_is_made_whole_can_be_made_whole(
    run: Results, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    if kind == "early":
        aged(run)
    else:
        next(run.folder.rglob(kind)).write_text("{")
    with failing(monkeypatch, number, Killed()), contextlib.suppress(Killed), run.measuring():
        pass
    assert find(run.folder.parent, "latest").run == run.run
    with run.measuring():
        assert recovery.load(run.folder).damaged == {}


@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_on_a_full_disk_a_run_is_what_is_on_the_disk(
    run: Results, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    act, _ = ACTS[name]
    told = r"json|log cannot be written: No space left on device"
    with failing(monkeypatch, number, full()), pytest.raises(UserError, match=told):
        act(run)
    assert find(run.folder.parent, "latest").run == run.run
    act(run)
    assert find(run.folder.parent, "latest").run == run.run


@pytest.mark.parametrize("number", range(3))
def test_on_a_full_disk_reports_are_named(
    run: Results, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    name = ("report.html", "report.md", "junit.xml")[number]
    told = rf"{re.escape(str(run.folder / name))} cannot be written: No space left on device"
    with failing(monkeypatch, number, full()), pytest.raises(UserError, match=told):
        writer.write(run, [], None)


def test_a_run_that_was_killed_as_it_began_is_a_run_of_no_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch, 1, Killed()), pytest.raises(Killed):
        begin(tmp_path, HOST, CELLS)
    [folder] = tmp_path.iterdir()
    found = find(tmp_path, folder.name)
    assert (found.cells, len(found.left())) == ([], len(CELLS))


def test_what_is_damaged_is_named_and_set_aside_once(
    run: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = run.folder / "cells" / OUT.id / "cell.json"
    for file in (run.file, entry, timeline(run)):
        file.write_text(file.read_text().replace("0", "1", 1))
    find(run.folder.parent, "latest")
    told = capsys.readouterr().err
    for file in (run.file, entry):
        assert f"{file} is not as it was written; it was set aside as .{file.name}.damaged" in told
        assert file.with_name(f".{file.name}.damaged").is_file()
    find(run.folder.parent, "latest").recompute()
    assert capsys.readouterr().err == ""


def test_what_belongs_to_no_planned_cell_is_named_and_left_out(
    run: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    source = run.evidence(run.cells[0])
    places = [LEFT.id, f"{OUT.id}/repetition-2", "a/b/c/d/e", "x"]
    for place in places:
        (run.folder / "cells" / place).mkdir(parents=True)
        shutil.copy(source / "cell.json", run.folder / "cells" / place)
    run.file.unlink()
    assert find(run.folder.parent, "latest").cells == run.cells
    told = capsys.readouterr().err
    for place in places:
        file = run.folder / "cells" / place / "cell.json"
        assert f"{file} is no cell of this run; it was set aside" in told


def test_the_run_json_of_another_run_is_not_taken_for_this_ones(
    run: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = made(tmp_path / "other")
    other.run["started"] = "2020-01-01T00:00:00+00:00"
    other.add(measured(LEFT, BRIEF))
    shutil.copy(other.file, run.file)
    assert find(tmp_path, "latest").run == run.run
    assert "run.json is another run's; it was set aside" in capsys.readouterr().err


def test_a_run_of_another_version_is_left_as_it_is(run: Results) -> None:
    run.file.write_text('{"schema": 2}')
    before = contents(run.folder)
    with pytest.raises(UserError, match=r"run\.json: its schema is 2, not 1"):
        find(run.folder.parent, "latest")
    assert contents(run.folder) == before


def test_a_run_of_an_earlier_version_is_read_as_it_is_and_sealed_when_it_goes_on(
    run: Results,
) -> None:
    aged(run)
    before = contents(run.folder)
    found = find(run.folder.parent, "latest")
    assert (found.run, contents(run.folder)) == (run.run, before)
    assert found.recompute() == ([], [])
    run.file.unlink()
    assert find(run.folder.parent, "latest").run == run.run


HOLDING = """
import sys
from pathlib import Path
from hatester.results.store import find
with find(Path(sys.argv[1]), "latest").measuring():
    print("had", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_process_measures_can_be_read_but_not_written_to(run: Results) -> None:
    parent = run.folder.parent
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(parent)], stdin=pipe, stdout=pipe, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "had\n"
        told = rf"{run.folder.name} is being measured by another process \(pid {other.pid}, "
        found = find(parent, "latest")
        writer.write(found, [], None)
        with pytest.raises(UserError, match=told):
            found.recompute()
        other.communicate("")
    found.recompute()


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
