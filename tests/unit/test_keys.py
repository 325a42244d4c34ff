"""The keys that open the guests: made once, and nobody else's to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.keys import find_keys


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_keys_are_made_once_and_anew_when_one_is_damaged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = find_keys()
    made = {
        file.name: file.read_bytes() for file in keys.folder.iterdir() if file.suffix != ".json"
    }
    assert sorted(made) == ["host_ed25519", "host_ed25519.pub", "id_ed25519", "id_ed25519.pub"]
    assert find_keys().private.read_bytes() == made["id_ed25519"]
    keys.host_public.write_bytes(made["id_ed25519.pub"])
    assert find_keys().host_public.read_bytes() not in made.values()
    assert f"{keys.folder} is damaged: host_ed25519.pub " in capsys.readouterr().err


def test_private_keys_are_this_users_alone_also_in_a_copy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = find_keys()
    for private in (keys.private, keys.host_private):
        content = private.read_bytes()
        private.chmod(0o644)
        find_keys()
        assert (private.stat().st_mode & 0o777, private.read_bytes()) == (0o600, content)
    assert not capsys.readouterr().err
