"""The keys of guests, and that ssh(1) enters nothing else with what is made beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import paramiko
import pytest

from hatester.artifacts.ssh_keys import Keys, find_keys
from tests.factories.ssh_server import Place, ssh_server


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))


def enter(place: Place, keys: Keys) -> subprocess.CompletedProcess[str]:
    """As Vagrant does, except for the user's key."""
    words = ["-F", str(keys.ssh_config), "-p", str(place.port), "-i", str(place.folder / "key")]
    return subprocess.run(
        ["ssh", "root@127.0.0.1", *words, "-o", "LogLevel=FATAL", "echo entered"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_guest_host_key_is_accepted(tmp_path: Path) -> None:
    keys = find_keys()
    host_key = paramiko.Ed25519Key(filename=str(keys.host_private))
    for _ in range(2):
        with ssh_server(tmp_path, host_key=host_key) as place:
            assert enter(place, keys).stdout == "entered\n"


def test_another_host_key_is_refused(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        done = enter(place, find_keys())
    assert (done.returncode, done.stdout) == (255, "")
    assert "Host key verification failed" in done.stderr


def test_keys_are_made_once(capsys: pytest.CaptureFixture[str]) -> None:
    keys = find_keys()
    made = {
        file.name: file.read_bytes() for file in keys.folder.iterdir() if file.suffix != ".json"
    }
    assert sorted(made) == [
        "host_ed25519",
        "host_ed25519.pub",
        "id_ed25519",
        "id_ed25519.pub",
        "known_hosts",
    ]
    assert find_keys().private.read_bytes() == made["id_ed25519"]
    keys.host_public.write_bytes(made["id_ed25519.pub"])
    assert find_keys().host_public.read_bytes() not in made.values()
    assert f"{keys.folder} is damaged: host_ed25519.pub " in capsys.readouterr().err


def test_private_keys_are_private(capsys: pytest.CaptureFixture[str]) -> None:
    keys = find_keys()
    for private in (keys.private, keys.host_private):
        content = private.read_bytes()
        private.chmod(0o644)
        find_keys()
        assert (private.stat().st_mode & 0o777, private.read_bytes()) == (0o600, content)
    assert not capsys.readouterr().err


def test_guests_are_known_in_a_moved_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_keys().private.read_bytes()
    (tmp_path / "a cache").rename(tmp_path / "moved")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "moved"))
    host_key = paramiko.Ed25519Key(filename=str(find_keys().host_private))
    with ssh_server(tmp_path, host_key=host_key) as place:
        assert enter(place, find_keys()).stdout == "entered\n"
    assert find_keys().private.read_bytes() == before
