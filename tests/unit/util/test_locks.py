"""Locks between processes: who waits says for whom, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatester.util import locks
from hatester.util.errors import UserError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder/lock"


def test_a_lock_is_not_waited_for_without_end_and_who_has_it_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.0)
    ours = os.getpid()
    for pid, who, is_logged in ((1, "process", True), (ours, "thread", False)):
        with locks.locked(path, "x"):
            path.write_text(f"{pid}\n")
            sentence = rf"while another {who} makes y \(pid {pid}, it"
            with pytest.raises(UserError, match=sentence), locks.locked(path, "makes y"):
                pytest.fail("two have the lock")
        # Another thread of this process says itself what it does.
        message = f"waiting while another {who} makes y (pid {pid}"
        assert (message in capsys.readouterr().err) == is_logged


def test_somebody_elses_file_is_as_good_a_lock_and_a_folder_is_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.0)
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    with (
        locks.shared(path, "cleans"),
        pytest.raises(UserError, match="another process makes y"),
        locks.locked(path, "makes y"),
    ):
        pytest.fail("one has alone what another shares")
    path.unlink()
    path.mkdir()
    with locks.locked(path, "x"):
        assert path.is_file()
    assert f"{path} is not a file, as a lock is; quarantined" in capsys.readouterr().err


def test_many_share_a_lock_and_nobody_has_it_alone_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        locks.shared(path, "cleans"),
        locks.shared(path, "cleans"),
        pytest.raises(UserError, match="in use"),
        locks.taken(path, "It is in use."),
    ):
        pytest.fail("one has what others share")
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)
    with (
        locks.taken(path, "It is in use."),
        pytest.raises(UserError, match="another thread cleans"),
        locks.shared(path, "cleans"),
    ):
        pytest.fail("one shares what another has alone")
    with locks.taken(path, "It is in use."):
        pass


def test_a_lock_is_held_as_long_as_somebody_has_it_alone_or_shares_it(path: Path) -> None:
    assert not locks.is_held(path)
    assert not path.parent.exists()
    for held in (locks.locked(path, "x"), locks.shared(path, "x"), locks.taken(path, "x")):
        with held:
            assert locks.is_held(path)
        assert not locks.is_held(path)


def test_a_lock_that_is_shared_has_no_single_holder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.0)
    with locks.taken(path, "x"):
        assert locks.holder(path) == f"pid {os.getpid()}, "
    sentence = r"another process or thread makes y \(it holds"
    with (
        locks.shared(path, "x"),
        pytest.raises(UserError, match=sentence),
        locks.locked(path, "makes y"),
    ):
        pytest.fail("one has alone what another shares")
