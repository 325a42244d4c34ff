"""Saved guests: made once, gone on from, and made again when they are damaged or of no use.

There is no QEMU: guests run in name only, and what is saved is a memory of this process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from hatester.artifacts import cache
from hatester.artifacts.builder import Image
from hatester.artifacts.disk import Tree
from hatester.artifacts.kernel import Kit
from hatester.artifacts.ssh_keys import Keys
from hatester.guests import checkpoint, host_capabilities, qmp
from hatester.guests.checkpoint import KIND, Starter
from hatester.guests.host_capabilities import Engine
from hatester.guests.vagrant import Vagrant
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError
from hatester.util.progress import Progress

ENGINE = Engine("tcg", "real", 2)


@dataclass
class Running:
    """A guest in name only."""

    folder: Path
    connection: Any = field(default_factory=lambda: SimpleNamespace(close=lambda: None))

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        """End nothing: Vagrant would."""

    def prepare(self, trees: object) -> None:
        """Install builds in name only."""

    def process(self) -> psutil.Process:
        return psutil.Process()


@dataclass
class Started:
    """Of each guest that was started, the saved one from which it was to go on, if any."""

    folder: Path
    ready: list[str | None] = field(default_factory=list)
    is_unable: bool = False
    """Whether no guest can go on."""

    def start(self, *_: object, ready: str | None = None, **__: object) -> Running:
        self.ready.append(ready)
        if ready and self.is_unable:
            raise MeasurementError("QEMU does not take it")
        return Running(self.folder)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "disk.qcow2").write_bytes(b"disk")
    started = Started(tmp_path)
    monkeypatch.setattr(checkpoint, "start", started.start)
    monkeypatch.setattr(host_capabilities, "qemu_version", lambda: "7.2")
    monkeypatch.setattr(qmp, "save_devices", lambda _, file: file.write_bytes(b"devices"))
    memory = os.memfd_create("memory")
    os.write(memory, b"memory")
    yield started
    os.close(memory)


def made(kind: str, name: str) -> Path:
    """Make an entry that differs whenever it is made."""

    def make(folder: Path) -> None:
        (folder / "disk").write_bytes(os.urandom(9))

    return cache.entry(kind, name, make)


def starter(*builds: str) -> Starter:
    """Of one image, with builds."""
    trees = {build: Tree("3.0", made("builds", build)) for build in builds}
    kit, system = made("kernels", "one"), made("systems", "one") / "system.ext4"
    image = Image(Kit("6.1.0", "6.1-1", kit), system)
    vagrant = cast(Vagrant, SimpleNamespace(engine=ENGINE, destroy=lambda vm_name: None))
    return Starter(image, trees, Keys(Path("keys")), vagrant, Progress())


def saved() -> list[Path]:
    return sorted((cache.root() / KIND).glob("[!.]*"))


def test_guest_is_saved_once(started: Started) -> None:
    starter("2.2", "3.0").start("6.1")
    [one] = saved()
    assert sorted(path.name for path in one.iterdir()) == [
        ".manifest.json", "devices", "disk.qcow2", "memory", "ready.json",
    ]  # fmt: skip
    assert (one / "memory").read_bytes() == b"memory"
    starter("3.0").start("6.1-2")
    assert started.ready == [None, str(one), str(one)]
    starter("3.4").start("6.1-3")
    assert len(saved()) == 2


def test_program_and_recipe_name_the_checkpoint(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter("3.0").start("6.1")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "pack_program", lambda: b"another program")
        starter("3.0").start("6.1")
    assert len(saved()) == 2
    starter("3.0").start("6.1")
    assert len(saved()) == 2
    monkeypatch.setattr(checkpoint, "RECIPE", checkpoint.RECIPE + 1)
    starter("3.0").start("6.1")
    assert len(saved()) == 3


@pytest.mark.parametrize("name", ["memory", "devices", "ready.json", ".manifest.json"])
def test_damaged_checkpoint_is_rebuilt(
    started: Started, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    starter("3.0").start("6.1")
    [one] = saved()
    (one / name).write_bytes(b"damaged")
    starter("3.0").start("6.1")
    assert saved() == [one]
    assert started.ready == [None, str(one)] * 2
    assert f"{one} is damaged: {name}" in capsys.readouterr().err


@pytest.mark.parametrize("entry", ["kernels/one", "systems/one", "builds/2.2", "builds/3.0"])
def test_rebuilt_disk_makes_the_checkpoint_stale(started: Started, entry: str) -> None:
    starter("2.2", "3.0").start("6.1")
    [one] = saved()
    (cache.root() / entry / "disk").write_bytes(b"damaged")
    starter("2.2", "3.0").start("6.1")
    [other] = set(saved()) - {one}
    assert started.ready == [None, str(one), None, str(other)]
    starter("2.2").start("6.1")
    assert started.ready[-1] == str(other)


def test_foreign_folders_are_not_used(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    starter("3.0").start("6.1")
    [one] = saved()
    base = one.name.partition("-")[0]
    foreign = one.with_name(f"{base}-0")
    foreign.mkdir()
    other = cache.entry(KIND, f"{base}-00", lambda folder: (folder / "ready.json").touch())
    starter("3.0").start("6.1")
    assert started.ready == [None, str(one), str(one)]
    assert saved() == [one]
    said = capsys.readouterr().err
    assert f"{foreign} is damaged: .manifest.json is missing; quarantined" in said
    assert (
        f"{other} is damaged: there is no ready.json, or it has another form; quarantined" in said
    )


def test_unusable_checkpoint_is_quarantined(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    starter("3.0").start("6.1")
    [one] = saved()
    started.is_unable = True
    starter("3.0").start("6.1")
    assert started.ready == [None, str(one), str(one), None]
    assert saved() == []
    assert f"{one} is of no use: no guest went on from it; quarantined" in capsys.readouterr().err


def test_ended_guest_keeps_its_checkpoint(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter("3.0").start("6.1")
    before = saved()
    started.is_unable = True

    def end() -> None:
        raise UserError("It was interrupted.")

    monkeypatch.setattr(process, "require_going_on", end)
    starter("3.0").start("6.1")
    assert saved() == before
