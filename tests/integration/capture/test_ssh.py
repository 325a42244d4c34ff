"""Entering a host over real SSH: whom it believes, and that nothing hangs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import paramiko
import pytest

from hatester.capture import remote
from hatester.capture.remote import Remote
from hatester.util.errors import UserError
from tests.factories.servers import BEHAVIOURS, closed_port, server
from tests.factories.ssh_server import Behaviour, Place, drips, floods, is_silent, says, ssh_server


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the keys nor the agent of who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def refusal(place: Place, host: str = "production") -> str:
    """Return the message with which a host is not entered."""
    with pytest.raises(UserError) as caught, remote.visit(host, ssh_config=place.config):
        pass
    return str(caught.value)


def test_known_host_runs_commands(tmp_path: Path) -> None:
    with (
        ssh_server(tmp_path) as place,
        remote.visit("production", ssh_config=place.config) as there,
    ):
        answer = Remote(there.run).ask({"words": 'echo "it\'s" $((40 + 2))', "none": "false"})
    assert answer["words"].text == "it's 42\n"
    assert answer["none"].problem == "failed with status 1"


def test_unknown_host_key_is_refused(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        (tmp_path / "known_hosts").unlink()
        assert refusal(place) == (
            f"[127.0.0.1]:{place.port}: its host key is not known; log in once with "
            f"`ssh -p {place.port} tester@production`, which shows the key and remembers it."
        )


def test_changed_host_key_is_refused(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        place.know(paramiko.ECDSAKey.generate())
        assert "another host key than the one that is known" in refusal(place)


def test_wrong_key_is_refused(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"))
        assert "production does not let tester in with the keys" in refusal(place)


def test_passphrase_needs_the_agent(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        (tmp_path / "key").unlink()
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "correct horse", "-f"]
        subprocess.run([*words, tmp_path / "key"], check=True)
        assert "ssh-add" in refusal(place)


def test_jump_host_has_to_be_known(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as place:
        config = Path(place.config)
        jump = config.read_text().replace("Host production", "Host jump")
        jump = jump.replace("/known_hosts", "/none")
        config.write_text(
            f"{jump}\nHost behind\n  HostName 192.0.2.1\n  ProxyJump jump\n"
            f"  UserKnownHostsFile {tmp_path}/known_hosts\n"
        )
        assert re.search(r"ssh -p \d+ tester@jump", refusal(place, "behind"))


def test_missing_host_is_named(tmp_path: Path) -> None:
    for host, port, sentence in (
        ("127.0.0.1", closed_port(), "refuses connections"),
        ("no-such-host.invalid", 0, "no host of that name is known"),
    ):
        with pytest.raises(UserError, match=sentence), remote.visit(host, port=port):
            pass
    missing = str(tmp_path / "missing")
    with pytest.raises(UserError, match="--ssh-config"), remote.visit("x", ssh_config=missing):
        pass


@pytest.mark.parametrize("behaviour", ["is silent", "speaks no HTTP", "closes", "resets"])
def test_other_server_is_named(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    monkeypatch.setattr(remote, "STEP_SECONDS", 1)
    with (
        server(BEHAVIOURS[behaviour]) as port,
        pytest.raises(UserError, match=r"127\.0\.0\.1 cannot be entered: "),
        remote.visit("127.0.0.1", port=port),
    ):
        pass


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (None, "did not answer completely within 2 s"),
        (is_silent, "connection lost"),
        (drips, "did not answer completely within 2 s"),
        (floods, "are longer than 1 MiB"),
        (says(b"This account is currently not available.\n"), "runs no commands"),
    ],
)
def test_hostile_host_cannot_hang_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour | None, sentence: str
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 2.0)
    monkeypatch.setattr(remote, "STEP_SECONDS", 1)
    monkeypatch.setattr(remote, "ANSWER_BYTES", 1 << 20)
    with (
        ssh_server(tmp_path, behaviour) as place,
        pytest.raises(UserError, match=sentence),
        remote.visit("production", ssh_config=place.config) as there,
    ):
        Remote(there.run).ask({"x": "echo x"})
