"""Merged runs: they have what their parts have, or there is none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.model import GuestBuild, GuestKernel
from hatester.results import folder as folders
from hatester.results.merge import merge
from hatester.results.store import Results, find
from hatester.util.errors import UserError
from hatester.util.files import write_whole
from tests.factories.hostile import examples, mutated, refused
from tests.factories.runs import HOST
from tests.factories.shards import KEYS, NEVER, change_cell, make_run, measurement
from tests.factories.stored_run import contents

OTHER = KEYS[1:]
"""All cells but the first."""
FIRST = KEYS[0]


def there(parent: Path) -> list[str]:
    """Return the names of all that a folder of results has."""
    return sorted(path.name for path in parent.glob("*"))


def evidence(run: Results) -> dict[str, bytes]:
    """Return the content of all files of cells."""
    return {name: data for name, data in contents(run.folder).items() if name.startswith("cells/")}


def merged(tmp_path: Path, *runs: Results) -> Results:
    return merge(tmp_path / "results", [str(run.folder) for run in runs])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return make_run(tmp_path_factory.mktemp("whole"))


@given(st.lists(st.sets(st.integers(0, 2)), min_size=len(KEYS), max_size=len(KEYS)))
@examples(0.2)
def test_a_merged_run_has_all_that_its_parts_have(whole: Results, places: list[set[int]]) -> None:
    shares = [
        {key for key, at in zip(KEYS, places, strict=True) if number in at} for number in range(3)
    ]
    known = set.union(*shares)
    with tempfile.TemporaryDirectory() as folder:
        parts = [make_run(Path(folder, str(at)), share) for at, share in enumerate(shares)]
        before = [contents(part.folder) for part in parts]
        run = merged(Path(folder), *parts)
        assert list(run.cells) == [cell for cell in whole.cells if cell.key in known]
        assert {(cell.id, number) for cell, number in run.left()} == {*KEYS} - known
        assert bool(run.run.finished) is (len(known) == len(KEYS))
        if len(known) == len(KEYS):
            assert evidence(run) == evidence(whole)
        assert find(Path(folder, "results"), "latest").run == run.run
        assert there(Path(folder, "results")) == sorted([run.folder.name, "latest"])
        assert [contents(part.folder) for part in parts] == before


def test_a_merged_run_names_its_parts_and_what_their_hosts_have_in_common(tmp_path: Path) -> None:
    hosts = [HOST, {**HOST, "processors": 4}]
    parts = [
        make_run(tmp_path / str(number), KEYS, host, shard=f"{number}/2")
        for number, host in enumerate(hosts, start=1)
    ]
    run = merged(tmp_path, *parts).run
    assert (run.shard, run.host.processors, run.host.qemu) == (None, None, HOST["qemu"])
    assert [(each.shard, each.host.processors) for each in run.merged] == [("1/2", 2), ("2/2", 4)]
    again = merge(tmp_path / "results", ["latest", str(parts[0].folder)])
    assert [each.run for each in again.run.merged] == [part.run.run for part in (*parts, parts[0])]


def test_of_an_error_and_a_measurement_the_measurement_is_taken(tmp_path: Path) -> None:
    failed = make_run(tmp_path / "a", [NEVER])
    measured = make_run(tmp_path / "b", [])
    error = failed.cells[0]
    measured.add(measurement(NEVER))
    for order in ((failed, measured), (measured, failed)):
        [cell] = merged(tmp_path, *order).cells
        assert cell.key == error.key
        assert cell.is_measured


def test_two_errors_of_a_cell_are_one(tmp_path: Path) -> None:
    parts = [make_run(tmp_path / name, [NEVER]) for name in "ab"]
    change_cell(parts[1], NEVER, error="the guest died")
    [cell] = merged(tmp_path, *parts).cells
    assert cell.error == "no image"


def test_the_same_measurement_by_two_hosts_is_one(tmp_path: Path) -> None:
    parts = [make_run(tmp_path / name) for name in "ab"]
    change_cell(parts[1], FIRST, seconds=77.0)
    assert merged(tmp_path, *parts).cells == parts[0].cells


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"explanation": "another"},
            f"{FIRST[0]}, with seed 0, has another result. Leave one run out.",
        ),
        (
            {"kernel": GuestKernel(name="5.10", release="6.1.0-51", accelerator="tcg")},
            "release of kernel 5.10 differs (got '6.1.0-51'; expected '6.1.0-50').",
        ),
        (
            {"kernel": GuestKernel(name="5.10", release="6.1.0-50", accelerator="kvm")},
            "accelerator differs (got 'kvm'; expected 'tcg').",
        ),
        (
            {"haproxy": GuestBuild(name="2.2", version="2.2.9", tree="other")},
            "tree of HAProxy 2.2 differs (got 'other'; expected None).",
        ),
    ],
)
def test_cells_that_differ_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    parts = [make_run(tmp_path / name) for name in "ab"]
    change_cell(parts[1], FIRST, **changes)
    with pytest.raises(UserError) as refusal:
        merged(tmp_path, *parts)
    place = f"{parts[1].folder} cannot be merged with {parts[0].folder}: "
    assert str(refusal.value).startswith(place + reason)
    assert there(tmp_path / "results") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seeds": (0, 2)}, "seeds differs (got (0, 2); expected (0, 1))."),
        ({"planned": tuple(reversed([KEYS[0][0], KEYS[1][0]]))}, "planned differs (got ("),
        ({"clock": "virtual"}, "clock differs (got 'virtual'; expected 'real')."),
        ({"probe_interval": 0.1}, "probe_interval differs (got 0.1; expected None)."),
        ({"clients": ("tls",)}, "clients differs (got ('tls',); expected ())."),
        ({"matrix": "ab"}, "matrix differs (got 'ab'; expected None)."),
        ({"hatester": "9"}, "hatester differs (got '9'; expected None)."),
        ({"builds": {"mine": "./mine"}}, "builds differs (got {'mine': './mine'}; expected {})."),
        ({"captured": "lb1"}, "captured differs (got 'lb1'; expected None)."),
    ],
)
def test_runs_of_different_plans_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    parts = [make_run(tmp_path / name, []) for name in "ab"]
    run = parts[1].run.model_copy(update=changes)
    folders.store(parts[1].folder, {"plan.json": run.head.to_json(), "run.json": run.to_json()})
    with pytest.raises(UserError) as refusal:
        merged(tmp_path, *parts)
    place = f"{parts[1].folder} cannot be merged with {parts[0].folder}: "
    assert str(refusal.value).startswith(place + reason)
    assert there(tmp_path / "results") == []


def test_scenarios_of_a_run_are_copied_and_must_be_the_same(tmp_path: Path) -> None:
    parts = [make_run(tmp_path / name) for name in "ab"]
    for part in parts:
        (part.scenarios / "lost/root/etc").mkdir(parents=True)
        (part.scenarios / "lost/root/etc/map").write_text("ü\r\n")
    copy = merged(tmp_path, *parts).scenarios / "lost/root/etc/map"
    assert copy.read_bytes() == "ü\r\n".encode()
    (parts[1].scenarios / "lost/before.cfg").touch()
    with pytest.raises(UserError, match=r": scenarios/lost/before\.cfg differs\. Merge runs of"):
        merged(tmp_path, *parts)


@given(st.sampled_from([key for key in KEYS if key != NEVER]), st.data())
@examples(0.2)
def test_a_damaged_cell_is_missing_unless_another_run_has_it(
    key: tuple[str, int], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        part = make_run(Path(folder, "a"))
        cell = next(each for each in part.cells if each.key == key)
        files = [path for path in part.evidence(cell).iterdir() if path.is_file()]
        file = data.draw(st.sampled_from(sorted(path for path in files if path.stat().st_size)))
        before = file.read_bytes()
        # A list of checksums has the same lines where they end in another way.
        places = [at for at, byte in enumerate(before) if byte != ord("\n")]
        at = data.draw(st.sampled_from(places))
        file.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        run = merged(Path(folder), part)
        assert [(each.id, number) for each, number in run.left()] == [key]
        other = make_run(Path(folder, "b"), [key])
        again = merged(Path(folder), part, other)
        assert again.left() == []
        assert [each.key for each in again.cells] == KEYS


def test_a_damaged_file_is_reported_and_quarantined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = make_run(tmp_path / "a")
    file = part.evidence(part.cells[0]) / "haproxy.log"
    file.write_text("nothing")
    merged(tmp_path, part)
    assert f"{file} is not as it was written; quarantined as" in capsys.readouterr().err
    assert not file.exists()


@given(st.data())
@examples(0.3)
def test_a_foreign_run_with_right_checksums_is_merged_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = [make_run(Path(folder, "a"), KEYS[:2]), make_run(Path(folder, "b"), KEYS[1:4])]
        files = [*parts[1].folder.glob("*.json"), *parts[1].folder.rglob("cell.json")]
        for file in data.draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
            content = data.draw(mutated(json.loads(file.read_text())))
            folders.store(file.parent, {file.name: json.dumps(content, default=str, skipkeys=True)})
        with refused(folder):
            run = merged(Path(folder), *parts)
            assert {cell.key for cell in run.cells} <= {*KEYS}
            assert find(run.folder.parent, "latest").run == run.run
        assert {*there(Path(folder))} <= {"a", "b", "results"}


def _link_file(name: str) -> Callable[[Results, Path], None]:
    def link(run: Results, target: Path) -> None:
        file = run.evidence(run.cells[0]) / name
        shutil.copy(file, target)
        file.unlink()
        file.symlink_to(target)

    return link


@pytest.mark.parametrize("name", ["timeline.json", "haproxy.log", "cell.json", "SHA256SUMS"])
def test_links_in_the_folder_of_a_cell_are_not_followed(tmp_path: Path, name: str) -> None:
    part = make_run(tmp_path / "a")
    _link_file(name)(part, tmp_path / "target")
    run = merged(tmp_path, part)
    assert [(cell.id, number) for cell, number in run.left()] == [FIRST]
    assert (tmp_path / "target").exists()


def test_a_link_in_place_of_the_lock_does_not_empty_its_target(tmp_path: Path) -> None:
    part = make_run(tmp_path / "a")
    target = tmp_path / "target"
    target.write_text("precious")
    (part.folder / "lock").unlink(missing_ok=True)
    (part.folder / "lock").symlink_to(target)
    merged(tmp_path, part)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("place", ["scenarios", "scenarios/lost", "scenarios/lost/before.cfg"])
def test_links_among_scenarios_are_refused(tmp_path: Path, place: str) -> None:
    part = make_run(tmp_path / "a")
    (part.folder / place).parent.mkdir(parents=True, exist_ok=True)
    (part.folder / place).symlink_to("/etc")
    with pytest.raises(UserError, match=r"is not a regular file\. Remove it\.$"):
        merged(tmp_path, part)
    assert there(tmp_path / "results") == []


class Killed(BaseException):
    """An end that no code handles, like that by kill -9."""


def _failing(error: Callable[[], BaseException], number: int) -> Callable[[Path, str], None]:
    """Return a writer of files that fails after so many."""
    left = iter(range(number))

    def write(path: Path, content: str) -> None:
        if next(left, None) is None:
            raise error()
        write_whole(path, content)

    return write


WRITES = 7 * 5 + 3 + 3
"""The files that a merge of all cells writes: a cell that never began has fewer."""


@pytest.mark.parametrize("number", [0, 1, 4, 5, 17, WRITES - 3, WRITES - 2, WRITES - 1])
def test_on_a_full_disk_there_is_no_run_and_the_next_merge_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    part = make_run(tmp_path / "a")
    before = contents(part.folder)
    with monkeypatch.context() as patch:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patch.setattr(folders, "write_whole", _failing(lambda: error, number))
        with pytest.raises(UserError, match="cannot be written: No space left on device"):
            merged(tmp_path, part)
    assert there(tmp_path / "results") == []
    assert contents(part.folder) == before
    assert merged(tmp_path, part).cells == part.cells


def test_the_next_merge_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, other = make_run(tmp_path / "a", OTHER), make_run(tmp_path / "b")
    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_whole", _failing(Killed, 9))
        patch.setattr("hatester.results.merge.remove", lambda path: None)
        with pytest.raises(Killed):
            merged(tmp_path, other)
    assert there(tmp_path / "results") == [".merged.unfinished"]
    run = merged(tmp_path, part)
    assert there(tmp_path / "results") == sorted([run.folder.name, "latest"])
    assert {name.split("/")[0] for name in contents(run.folder)} == {
        "SHA256SUMS", "cells", "plan.json", "run.json",
    }  # fmt: skip
    assert evidence(run) == evidence(part)


def test_a_run_that_is_being_measured_is_not_merged(tmp_path: Path) -> None:
    part = make_run(tmp_path / "a", OTHER)
    with part.measuring(), pytest.raises(UserError, match="is being measured by another process"):
        merged(tmp_path, part)
    assert not (tmp_path / "results").exists()
