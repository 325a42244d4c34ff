"""The cache entries that are in use, which no cleaning removes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.guests import machines
from hatester.util.errors import UserError
from tests.factories.cache import (
    GONE,
    KERNEL,
    OTHER,
    SAVED,
    SYSTEM,
    empty_cache,
    kept,
    name_of,
    names,
    saved_guest,
    swept,
)
from tests.factories.processes import has_ended, is_running


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_cache(tmp_path, monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.mark.parametrize("part", ["kernels", "systems", "builds"])
def test_checkpoint_keeps_its_parts(part: str, results: Path) -> None:
    saved_guest(days=1)
    [reason] = swept(results, part).values()
    assert reason == "a saved guest needs it"
    found = swept(results)
    assert found.pop(f"ready/{SAVED}") == "too young"
    assert set(found.values()) == {"a saved guest needs it"}
    assert len(found) == 3
    assert set(swept(results, days=0).values()) == {GONE}


def test_unknown_checkpoint_keeps_nothing(results: Path) -> None:
    kept(f"ready/{SAVED}", 1, ready_json="{")
    kept(f"kernels/{KERNEL}")
    assert swept(results)[f"kernels/{KERNEL}"] == GONE


def machine(folder: Path, image: dict[str, str], backing: Path) -> Path:
    """Make a machine that Vagrant has in a folder, and return its own folder."""
    (folder / "machines.json").write_text(json.dumps({"6.1": image, "7.2": {"system": "/x"}}))
    data = folder / "machines/6.1/qemu"
    data.mkdir(parents=True)
    (data / "id").touch()
    create = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", str(backing)]
    subprocess.run([*create, data / "disk.qcow2", "1M"], check=True)
    return data


def test_kept_machine_keeps_its_parts(root: Path, results: Path) -> None:
    guest, *needed = saved_guest()
    builds = kept(f"builds/{OTHER}")
    with machines.machines_folder("run") as folder:
        image = {"disks": str(builds / "tree.ext4")}
        data = machine(folder, image, guest / "disk.qcow2")
        machines.keep(folder)
    name = f"runs/{folder.name}"
    found = swept(results)
    assert [found[f"ready/{SAVED}"], found[f"builds/{OTHER}"], found[name]] == ["in use"] * 3
    assert [found[name_of(path, results)] for path in needed] == ["a saved guest needs it"] * 3
    (data / "id").unlink()
    assert set(swept(results).values()) == {GONE}
    assert names(root / "runs") == [".lock"]


def test_machine_by_hand_keeps_its_parts(results: Path, tmp_path: Path) -> None:
    kernel, other = kept(f"kernels/{KERNEL}"), kept(f"kernels/{OTHER}")
    system = kept(f"systems/{SYSTEM}")
    images = {
        name: {"vmlinuz": f"{folder}/vmlinuz"} for name, folder in (("6.1", kernel), ("7.2", other))
    }
    project = tmp_path / "project"
    (project / ".hatester").mkdir(parents=True)
    (project / ".hatester/machines.json").write_text(json.dumps(images))
    (project / ".vagrant").mkdir()
    machine(project / ".vagrant", {}, system / "system.ext4")
    assert swept(results) == {
        f"kernels/{KERNEL}": "in use",
        f"kernels/{OTHER}": GONE,
        f"systems/{SYSTEM}": "in use",
    }


def test_unreadable_image_is_named(results: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".hatester").mkdir(parents=True)
    (project / ".hatester/machines.json").write_text("{")
    (project / ".vagrant").mkdir()
    machine(project / ".vagrant", {}, Path("/x"))
    with pytest.raises(UserError, match=r"machines\.json does not say what its machines need"):
        swept(results)


@pytest.fixture
def qemu() -> Iterator[list[int]]:
    """Pids, of processes that are ended after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if is_running(pid):
            os.kill(pid, 9)


# Its child has the same command line until it is the sleep.
_SLEEPS = "sleep 60 & until read -r x </proc/$!/comm && [ $x = sleep ]; do :; done; echo; wait"


def start(opened: Path, folder: Path) -> int:
    """Something that looks like a QEMU which has a file open."""
    with opened.open() as file:
        process = subprocess.Popen(
            ["qemu-system-x86_64", "-c", _SLEEPS],
            executable="/bin/bash",
            stdout=subprocess.PIPE,
            pass_fds=[file.fileno()],
            env={**os.environ, "VAGRANT_DOTFILE_PATH": str(folder)},
            start_new_session=True,
        )
    assert process.stdout
    process.stdout.readline()
    return process.pid


def test_what_a_qemu_has_open_stays(results: Path, tmp_path: Path, qemu: list[int]) -> None:
    system = kept(f"systems/{SYSTEM}", system_ext4="x")
    qemu.append(start(system / "system.ext4", tmp_path / "elsewhere"))
    assert set(swept(results, days=0).values()) == {"in use"}
    os.kill(qemu[0], 9)
    assert has_ended(qemu[0])
    assert set(swept(results, days=0).values()) == {GONE}


def test_killed_run_is_ended(results: Path, root: Path, qemu: list[int]) -> None:
    kernel = kept(f"kernels/{KERNEL}", vmlinuz="x")
    folder = kept("runs/20260101-000000-1", days=0, lock="")
    qemu.append(start(kernel / "vmlinuz", folder))
    assert set(swept(results).values()) == {GONE}
    assert names(root / "runs") == [".lock"]
    assert has_ended(qemu[0])
