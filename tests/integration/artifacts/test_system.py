"""Systems: what they are made of. Nothing is installed: an image is a tar of our files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from hatester.artifacts import disk, system
from hatester.artifacts.apt import Archive
from hatester.artifacts.ssh_keys import Keys
from hatester.util import process
from tests.factories.kernels import MadeUpArchive
from tests.factories.processes import has_ended

GONE = 99_999_999
"""A pid that no process has: Linux has none above 4194304 (PID_MAX_LIMIT)."""


class Packages(MadeUpArchive):
    """Debian's archive, as far as a system is made of it."""

    def sources(self, suite: str) -> str:
        return f"deb http://nowhere {suite} main\n"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    keys = Keys(tmp_path / "keys")
    keys.folder.mkdir()
    for file in (keys.private, keys.public, keys.host_private, keys.host_public):
        file.write_text(file.name)
    return keys


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return cast(Archive, Packages(tmp_path / "archive"))


@pytest.fixture(autouse=True)
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the overlay, with customise.sh beside it."""
    overlay = tmp_path / "system"
    shutil.copytree(system.OVERLAY, overlay)
    shutil.copy(system.CUSTOMISE, tmp_path / "customise.sh")
    monkeypatch.setattr(system, "OVERLAY", overlay)
    monkeypatch.setattr(system, "CUSTOMISE", tmp_path / "customise.sh")

    def install(command: list[Any], **_: object) -> str:
        tar = Path(next(word for word in command if word.endswith("system.tar")))
        shutil.copy(tar.with_name("own.tar"), tar)
        return ""

    def make_ext4(tar: Path, image: Path, *_: str) -> None:
        shutil.copy(tar, image)

    monkeypatch.setattr(process, "run", install)
    monkeypatch.setattr(disk, "make_ext4_from_tar", make_ext4)
    return overlay


def made(archive: Archive, keys: Keys) -> Path:
    return system.make_system(archive, "bookworm", keys)


def test_our_files_are_in_it_with_their_modes(archive: Archive, keys: Keys) -> None:
    with tarfile.open(made(archive, keys)) as tar:
        modes = {member.name: member.mode for member in tar if member.isfile()}
        content = tar.extractfile("etc/fstab")
        assert content
        assert content.read() == (system.OVERLAY / "etc/fstab").read_bytes()
    assert modes["etc/fstab"] == 0o644
    assert modes["customise.sh"] == 0o755
    assert modes["root/.ssh/authorized_keys"] == modes["etc/ssh/ssh_host_ed25519_key"] == 0o600


def test_moved_files_make_no_new_system(
    archive: Archive, keys: Keys, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(archive, keys)
    moved = overlay.rename(overlay.with_name("moved"))
    monkeypatch.setattr(system, "OVERLAY", moved)
    (moved / "etc/fstab").touch()
    assert made(archive, keys) == first


@pytest.mark.parametrize("change", ["content", "path", "customise", "key", "recipe", "size"])
def test_what_goes_into_it_makes_a_new_one(
    archive: Archive, keys: Keys, overlay: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first = made(archive, keys)
    if change == "content":
        (overlay / "etc/fstab").write_text("# another one\n")
    elif change == "path":
        (overlay / "etc/fstab").rename(overlay / "etc/fstab.d")
    elif change == "customise":
        system.CUSTOMISE.write_text("#!/bin/sh\n")
    elif change == "key":
        keys.public.write_text("another one")
    elif change == "recipe":
        monkeypatch.setattr(system, "RECIPE", system.RECIPE + 1)
    else:
        monkeypatch.setattr(system, "DISK_SIZE", "4G")
    assert made(archive, keys) != first


def test_nothing_is_left_of_what_is_interrupted(
    archive: Archive, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folders = [tmp_path / "tmp" / f"hatester-system-{each}" for each in (f"{GONE}-x", "1-x", "y")]
    for folder in folders:
        (folder / "mmdebstrap.abc/usr").mkdir(parents=True)
    used: list[Path] = []

    def interrupt(command: list[Any], *, env: dict[str, str], **_: object) -> str:
        used.append(Path(env["TMPDIR"]))
        (used[0] / "mmdebstrap.def").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made(archive, keys)
    # A process with pid 1 lives, and the last one is not ours.
    assert not used[0].exists()
    assert sorted((tmp_path / "tmp").iterdir()) == sorted(folders[1:])


def test_a_process_that_a_killed_run_left_is_ended_before_its_files_go(
    archive: Archive, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"hatester-system-{GONE}-x"
    left.mkdir()
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(left)},
        start_new_session=True,
    )
    assert leader.stdout
    child = int(leader.stdout.readline())
    threading.Thread(target=leader.wait).start()  # as init does, once its own parent was killed
    made(archive, keys)
    assert has_ended(child)
    assert not left.exists()
