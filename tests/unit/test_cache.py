"""The cache: made once, whole or not at all, and by one at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from hatester import cache, commands
from hatester.errors import UserError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hatester"


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
        commands.run(["sh", "-c", "echo no space left >&2; exit 1"], seconds=10)

    with pytest.raises(UserError, match=r"kind/name cannot be made: sh failed(.*\n)*no space left"):
        cache.entry("kind", "name", make)


def begin_and_hang(folder: Path) -> None:
    write(folder)
    (folder.parent / "begun").touch()
    time.sleep(60)


def test_what_a_killed_process_left_half_made_is_made_again(root: Path) -> None:
    process = multiprocessing.Process(target=cache.entry, args=("kind", "name", begin_and_hang))
    process.start()
    deadline = time.monotonic() + 10
    while not (root / "kind/begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=10)
    assert not (root / "kind/name").exists()
    assert (cache.entry("kind", "name", write) / "content").read_text() == str(os.getpid())


def slowly(folder: Path) -> None:
    time.sleep(0.3)
    write(folder)


def make(answers: multiprocessing.Queue[str]) -> None:
    answers.put((cache.entry("kind", "name", slowly) / "content").read_text())


def test_of_two_at_once_one_makes_it_and_both_have_it() -> None:
    answers: multiprocessing.Queue[str] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=make, args=(answers,)) for _ in range(2)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=10) for _ in processes}
    for process in processes:
        process.join(timeout=10)
    assert len(found) == 1


def test_a_name_changes_with_what_it_is_made_of_and_how(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.write_text("one")
    first = cache.digest(["a"], [recipe])
    assert first == cache.digest(["a"], [recipe])
    assert first != cache.digest(["b"], [recipe])
    recipe.write_text("two")
    assert first != cache.digest(["a"], [recipe])


def test_the_folder_is_this_users_alone_or_says_why_it_cannot_be(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.root() == root
    assert root.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be made: Not a directory"):
        cache.root()


def test_an_entry_is_renewed_by_a_whole_one_only(root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise ValueError

    cache.entry("kind", "name", write)
    cache.renew("kind", "name", lambda folder: (folder / "new").touch())
    assert [path.name for path in (root / "kind/name").iterdir()] == ["new"]
    with pytest.raises(ValueError):  # noqa: PT011 (it is this one that was raised)
        cache.renew("kind", "name", fail)
    assert [path.name for path in (root / "kind/name").iterdir()] == ["new"]


def test_what_is_used_is_dated(tmp_path: Path) -> None:
    os.utime(tmp_path, (0, 0))
    begun = time.time()
    assert cache.use(tmp_path) == tmp_path
    assert tmp_path.stat().st_mtime >= begun - 1
