"""The keys of guests, and that ssh(1) enters nothing else with what is made beside them."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import paramiko
import pytest

from hatester.keys import Keys, find_keys
from tests.unit.ssh_server import Place, ssh_server


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))


def enter(place: Place, keys: Keys) -> subprocess.CompletedProcess[str]:
    """As Vagrant does, but for the user's key."""
    words = ["-F", str(keys.ssh_config), "-p", str(place.port), "-i", str(place.folder / "key")]
    return subprocess.run(
        ["ssh", "root@127.0.0.1", *words, "-o", "LogLevel=FATAL", "echo entered"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_what_has_the_host_key_of_guests_is_entered_at_any_port(tmp_path: Path) -> None:
    keys = find_keys()
    host_key = paramiko.Ed25519Key(filename=str(keys.host_private))
    for _ in range(2):
        with ssh_server(tmp_path, host_key=host_key) as place:
            assert enter(place, keys).stdout == "entered\n"


def test_what_has_another_host_key_is_not_entered(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        done = enter(place, find_keys())
    assert (done.returncode, done.stdout) == (255, "")
    assert "Host key verification failed" in done.stderr


def test_keys_are_made_once_for_this_user_alone() -> None:
    keys = find_keys()
    before = keys.private.read_text(), keys.host_private.read_text()
    assert find_keys() == keys
    assert (keys.private.read_text(), keys.host_private.read_text()) == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in (keys.private, keys.host_private)} == {
        0o600
    }


def test_a_cache_that_was_moved_has_keys_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_keys()
    (tmp_path / "a cache").rename(tmp_path / "moved")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "moved"))
    host_key = paramiko.Ed25519Key(filename=str(find_keys().host_private))
    with ssh_server(tmp_path, host_key=host_key) as place:
        assert enter(place, find_keys()).stdout == "entered\n"
