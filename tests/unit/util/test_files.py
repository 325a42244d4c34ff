"""Files that are whole at any moment, and what becomes of others."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from hatester.util.files import quarantine, write_whole


def write_and_hang(path: Path, begun: Event) -> None:
    """Write, and never come to the end of it."""

    def hang(_: int) -> None:
        begun.set()
        signal.pause()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", hang)
        write_whole(path, "new")


def test_what_a_killed_process_left_of_a_file_is_removed_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a[b].json"
    write_whole(path, "old")
    begun = multiprocessing.Event()
    process = multiprocessing.Process(target=write_and_hang, args=(path, begun))
    process.start()
    assert begun.wait(10)
    write_whole(path, "meanwhile")
    [unfinished] = set(tmp_path.iterdir()) - {path}
    process.kill()
    process.join(timeout=10)
    assert path.read_text() == "meanwhile"
    write_whole(tmp_path / "other", "x")
    assert unfinished.exists()
    write_whole(path, "new")
    assert not unfinished.exists()


def test_what_cannot_be_written_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


def test_a_folder_where_a_file_should_be_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    (path / "sub").mkdir(parents=True)
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert (tmp_path / ".file.damaged/sub").is_dir()
    assert f"{path} is a folder, where a file should be; quarantined as .file.damaged" in (
        capsys.readouterr().err
    )


def test_what_is_set_aside_takes_the_place_of_what_was_before(tmp_path: Path) -> None:
    for make in (Path.mkdir, Path.touch, Path.mkdir):
        make(tmp_path / "it")
        aside = quarantine(tmp_path / "it", "is odd")
        assert aside.is_dir() is (make is Path.mkdir)
    assert not (tmp_path / "it").exists()
    assert quarantine(tmp_path / "it", "was set aside by another process") == aside
