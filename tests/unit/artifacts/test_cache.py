"""The cache: made once, whole or not at all, and by one at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hatester"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def write(folder: Path) -> None:
    (folder / "content").write_text(str(os.getpid()))


def test_an_entry_is_made_once(root: Path) -> None:
    made = cache.entry("kind", "name", write)
    assert made == root / "kind/name"
    assert cache.entry("kind", "name", lambda folder: pytest.fail("made again")) == made


def test_what_fails_leaves_nothing_that_is_taken_for_whole(root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (it is this one that was raised)
        cache.entry("kind", "name", fail)
    assert not (root / "kind/name").exists()
    assert (cache.entry("kind", "name", write) / "content").exists()


def test_a_command_that_fails_it_is_shown() -> None:
    def make(_: Path) -> None:
        process.run(["sh", "-c", "echo no such luck >&2; exit 1"], seconds=10)

    with pytest.raises(UserError, match=r"kind/name cannot be made: sh failed(.*\n)*no such luck"):
        cache.entry("kind", "name", make)


def fill_disk() -> None:
    with Path("/dev/full").open("w") as file:
        file.write("x")


def fill_disk_by_a_tool() -> None:
    try:
        process.run(["cp", "/proc/version", "/dev/full"], seconds=10)
    except process.CommandError as error:
        raise MeasurementError("the modules cannot be read") from error


@pytest.mark.parametrize("fill", [fill_disk, fill_disk_by_a_tool])
def test_a_full_disk_is_reported_by_whatever_it_was_noticed_and_leaves_nothing(
    root: Path, fill: Callable[[], None]
) -> None:
    def make(folder: Path) -> None:
        write(folder)
        fill()

    with pytest.raises(
        UserError, match=r"/kind/name cannot be made: the disk is full \(.*No space left on device"
    ):
        cache.entry("kind", "name", make)
    assert [path.name for path in (root / "kind").iterdir()] == [".name.lock"]


def begin_and_hang(folder: Path) -> None:
    write(folder)
    (folder.parent / "begun").touch()
    time.sleep(60)


def test_what_a_killed_process_left_half_made_is_made_again(root: Path) -> None:
    child = multiprocessing.Process(target=cache.entry, args=("kind", "name", begin_and_hang))
    child.start()
    deadline = time.monotonic() + 10
    while not (root / "kind/begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join(timeout=10)
    assert not (root / "kind/name").exists()
    assert (cache.entry("kind", "name", write) / "content").read_text() == str(os.getpid())


def test_a_name_changes_with_the_ingredients_and_with_the_recipe() -> None:
    first = cache.digest(1, {"a": 1, "b": (2,)})
    assert first == cache.digest(1, {"b": [2], "a": 1})
    assert first != cache.digest(1, {"a": 1, "b": [3]})
    assert first != cache.digest(2, {"a": 1, "b": [2]})


def test_the_folder_is_this_users_alone_or_says_why_it_cannot_be(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.root() == root
    assert root.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be made: Not a directory"):
        cache.root()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/hatester").touch()
    with pytest.raises(UserError, match=r"/other/hatester cannot be made: it is not a folder\.$"):
        cache.root()


def test_a_folder_that_lets_others_in_is_mended_and_another_users_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    root.symlink_to(tmp_path / "elsewhere")
    cache.root()
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(UserError, match=rf"hatester is another user's \(uid {owner}\)\.$"):
        cache.root()


def test_an_entry_is_renewed_by_a_whole_one_only(root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise ValueError

    cache.entry("kind", "name", write)
    cache.renew("kind", "name", lambda folder: (folder / "new").touch())
    assert visible(root / "kind/name") == ["new"]
    with pytest.raises(ValueError):  # noqa: PT011 (it is this one that was raised)
        cache.renew("kind", "name", fail)
    assert visible(root / "kind/name") == ["new"]


def test_what_is_used_is_dated(tmp_path: Path) -> None:
    os.utime(tmp_path, (0, 0))
    begun = time.time()
    assert cache.use(tmp_path) == tmp_path
    assert tmp_path.stat().st_mtime >= begun - 1
