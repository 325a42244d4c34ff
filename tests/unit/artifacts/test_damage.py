"""Damage in the cache: noticed, named, set aside and made again, whatever it is."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import subprocess
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts import cache
from hatester.util.errors import UserError
from tests.factories.log import log_messages

CONTENTS = {
    "vmlinuz": b"\0kernel\xff" * 9,
    "kit.json": b"{}",
    "layout/blobs/one": b"1",
    "empty": b"",
}
LINKS = {"layout/latest": "blobs/one"}
numbers = itertools.count()


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hatester"


def write(folder: Path) -> None:
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)


def must_not_make(folder: Path) -> None:
    pytest.fail(f"{folder} was made again")


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return what an entry has, except its manifest."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != ".manifest.json"
    }


def another_byte(data: st.DataObject, path: Path) -> str:
    content = bytearray(path.read_bytes() or b"\0")
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=times)
    return path.name


def cut_off(data: st.DataObject, path: Path) -> str:
    size = path.stat().st_size
    os.truncate(path, data.draw(st.integers(0, size - 1)) if size else 1)
    return path.name


def removed(_: st.DataObject, path: Path) -> str:
    path.unlink()
    return path.name


def added(_: st.DataObject, path: Path) -> str:
    path.with_name("other").touch()
    return "other"


def folder_instead(_: st.DataObject, path: Path) -> str:
    path.unlink()
    path.mkdir()
    return path.name


def link_instead(_: st.DataObject, path: Path) -> str:
    path.rename(path.parent / f"../../{path.name}")
    path.symlink_to(path.parent / f"../../{path.name}")
    return path.name


def pipe_instead(_: st.DataObject, path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return path.name


DAMAGES = (another_byte, cut_off, removed, added, folder_instead, link_instead, pipe_instead)


@given(st.data())
def test_whatever_is_changed_is_named_set_aside_and_made_again(data: st.DataObject) -> None:
    name = f"entry-{next(numbers)}"
    folder = cache.entry("kind", name, write)
    file = folder / data.draw(st.sampled_from([*CONTENTS, *LINKS, ".manifest.json"]))
    is_old = data.draw(st.booleans())
    if is_old:  # so that nothing was changed shortly before it was noted
        cache.entry("kind", name, must_not_make)
    damages = (removed, added, folder_instead) if file.is_symlink() else DAMAGES
    named = data.draw(st.sampled_from(damages))(data, file)
    with log_messages() as said:
        assert cache.entry("kind", name, write) == folder
    assert contents(folder) == {**CONTENTS, **LINKS}
    [line] = said
    assert line.startswith(f"{folder} is damaged: ")
    assert named in line
    assert line.endswith(f"; quarantined as .{name}.damaged")
    assert folder.with_name(f".{name}.damaged").is_dir()
    cache.entry("kind", name, must_not_make)


def test_what_is_no_folder_or_has_no_manifest_is_made_again(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cache.entry("kind", "name", write)
    for damage, reason in (
        (lambda: folder.write_text("foreign"), "it is not a folder"),
        (lambda: folder.symlink_to(root), "it is not a folder"),
        (lambda: folder.symlink_to("nowhere"), "it is not a folder"),
        (folder.mkdir, r".manifest.json is missing"),
    ):
        shutil.rmtree(folder)
        damage()
        cache.entry("kind", "name", write)
        assert f"{folder} is damaged: {reason}; quarantined" in capsys.readouterr().err
        assert contents(folder) == {**CONTENTS, **LINKS}


def test_a_kind_or_a_lock_that_is_something_else_is_set_aside(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.root()
    (root / "kind").write_text("foreign")
    cache.entry("kind", "name", write)
    assert f"{root}/kind is damaged: it is not a folder; quarantined" in capsys.readouterr().err
    (root / "other/.name.lock").mkdir(parents=True)
    cache.entry("other", "name", write)
    assert ".name.lock is not a file, as a lock is; quarantined" in capsys.readouterr().err


def test_a_copy_is_found_whole_with_holes_or_without_and_its_damage_is_noticed(root: Path) -> None:
    def make(folder: Path) -> None:
        with (folder / "disk").open("wb") as disk:
            disk.write(b"begin")
            disk.seek(3_000_000)
            disk.write(b"middle")
            disk.truncate(10_000_000)

    folder = cache.entry("kind", "name", make)
    assert (folder / "disk").stat().st_blocks * 512 < 1_000_000
    for name, sparse in (("filled", "never"), ("sparse", "always")):
        copy = root / "kind" / name
        subprocess.run(["cp", "-r", f"--sparse={sparse}", folder, copy], check=True)
        cache.entry("kind", name, must_not_make)
        # What was found is noted, so that its files need not be read again: at the latest the
        # second time, since a file that was changed in the clock's last tick is read once more.
        cache.entry("kind", name, must_not_make)
        noted = (copy / ".manifest.json").stat().st_ino
        cache.entry("kind", name, must_not_make)
        assert (copy / ".manifest.json").stat().st_ino == noted
        with (copy / "disk").open("r+b") as disk:
            disk.seek(7_000_000)
            disk.write(b"x")
        cache.entry("kind", name, write)
        assert (copy / "vmlinuz").exists()


def test_an_entry_remembers_when_it_was_used(root: Path) -> None:
    folder = cache.entry("kind", "name", write)
    begun = time.time()
    for use in (
        lambda: cache.entry("kind", "name", must_not_make),
        lambda: list(cache.entries("kind", "na")),
    ):
        os.utime(folder, (0, 0))
        use()
        assert folder.stat().st_mtime > begun - 1
    os.utime(folder, (0, 0))
    assert list(cache.entries("kind", "other")) == []
    assert folder.stat().st_mtime == 0


def test_of_all_entries_the_damaged_are_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, damaged = [cache.entry("kind", f"[a]-{number}", write) for number in (1, 2)]
    cache.entry("kind", "a-1", write)
    (damaged / "vmlinuz").write_text("")
    (root / "kind/[a]-3").touch()
    assert list(cache.entries("kind", "[a]-")) == [whole]
    said = capsys.readouterr().err
    assert f"{damaged} is damaged: vmlinuz is a file of 0 bytes, and was a file of 72 b" in said
    assert "[a]-3 is damaged: it is not a folder" in said
    assert list(cache.entries("kind", "[a]-")) == [whole]
    assert not capsys.readouterr().err


class Description(pydantic.BaseModel):
    version: str


@pytest.mark.parametrize("content", ["{}", "", "[]", '{"version": 1}', None])
def test_what_an_entry_says_in_another_form_is_not_taken(
    content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(folder: Path) -> None:
        if content is not None:
            (folder / "kit.json").write_text(content)

    folder = cache.entry("kind", "name", make)
    with pytest.raises(UserError, match=r"kind/name could not be used; try again\.$"):
        cache.read_description(folder, "kit.json", Description)
    assert "there is no kit.json, or it has another form; quarantined" in capsys.readouterr().err
    content = '{"version": "1"}'
    cache.entry("kind", "name", make)
    assert cache.read_description(folder, "kit.json", Description).version == "1"


def test_what_another_process_made_meanwhile_is_not_rejected() -> None:
    folder = cache.entry("kind", "name", write)
    first = folder.stat().st_ino
    cache.reject(folder, first, "is of no use")
    cache.entry("kind", "name", write)
    cache.reject(folder, first, "is of no use")
    cache.entry("kind", "name", must_not_make)


def slowly(folder: Path) -> None:
    time.sleep(0.2)
    (folder / "content").write_text(str(os.getpid()))


def make(begin: Barrier, answers: multiprocessing.Queue[str]) -> None:
    begin.wait(10)
    answers.put((cache.entry("kind", "name", slowly) / "content").read_text())


@pytest.mark.parametrize("is_damaged", [True, False])
def test_of_two_at_once_one_makes_it_and_both_have_it(root: Path, is_damaged: bool) -> None:
    if is_damaged:
        folder = cache.entry("kind", "name", slowly)
        (folder / "content").write_text("damaged")
    begin = multiprocessing.Barrier(2)
    answers: multiprocessing.Queue[str] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=make, args=(begin, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=10) for _ in processes}
    for process in processes:
        process.join(timeout=10)
    assert found < {str(process.pid) for process in processes}
    assert (root / "kind/.name.damaged").exists() == is_damaged
