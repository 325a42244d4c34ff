"""Commands in a guest: their output and their time are bounded, whatever its SSH server does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fabric
import paramiko
import pytest

from hatester.guests import guest as guests
from hatester.guests.console import Console
from hatester.guests.guest import BoundedRemote, Guest
from hatester.util.errors import MeasurementError
from tests.factories.ssh_server import Behaviour, drips, floods, is_silent, ssh_server


def says(text: bytes) -> Behaviour:
    """Return a behaviour that answers a command, which has no input, with a text."""

    def say(channel: paramiko.Channel, _command: bytes) -> None:
        # The command has to be accepted before it can answer.
        channel.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            channel.recv(1)
        channel.sendall(text)
        channel.send_exit_status(0)
        channel.close()

    return say


@contextlib.contextmanager
def served(folder: Path, behaviour: Behaviour) -> Iterator[Guest]:
    """Enter a guest whose SSH server behaves in one way."""
    vagrant = SimpleNamespace(
        engine=SimpleNamespace(is_virtual=False),
        data=lambda _: folder / "gone",
        console=lambda _: Console(folder / "console.log"),
        entry=lambda *_: [],
    )
    with ssh_server(folder, behaviour) as place:
        guest = Guest("6.1", *cast(Any, (None, None, vagrant)))
        config = fabric.Config(
            overrides={"load_ssh_configs": False, "runners": {"remote": BoundedRemote}}
        )
        guest.connection = fabric.Connection(
            "127.0.0.1",
            user="tester",
            port=place.port,
            config=config,
            connect_kwargs={"key_filename": str(folder / "key"), "look_for_keys": False},
        )
        guest.connection.client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with guest:
            yield guest


def test_output_is_returned(tmp_path: Path) -> None:
    with served(tmp_path, says(b"6.1.0\n")) as guest:
        assert guest.run("uname -r") == "6.1.0\n"


def test_flood_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedRemote, "_left", 1 << 18)
    with (
        served(tmp_path, floods) as guest,
        pytest.raises(MeasurementError, match="wrote more than"),
    ):
        guest.run("cat /dev/zero")


@pytest.mark.parametrize("behaviour", [drips, is_silent])
def test_time_is_bounded(
    tmp_path: Path, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "CONNECT_SECONDS", 0)
    with served(tmp_path, behaviour) as guest, pytest.raises(MeasurementError, match="`sleep`"):
        guest.run("sleep", seconds=1)


@pytest.mark.parametrize("said", [b"", b"{}", b"[1]", b"[" * 500, b'["\xff"]x', b"NaN"])
def test_traces_that_are_none(tmp_path: Path, said: bytes) -> None:
    with (
        served(tmp_path, says(said)) as guest,
        pytest.raises(MeasurementError, match="its traces: it sent"),
    ):
        guest.traces()
