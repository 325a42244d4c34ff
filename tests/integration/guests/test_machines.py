"""A run's machines: none is left, whatever ends the run."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.guests import machines
from hatester.util import process
from tests.factories.processes import has_ended, is_running


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def start_machine(folder: Path) -> int:
    """Start something that looks like a QEMU for the folder."""
    data = folder / "machines/6.1/qemu"
    data.mkdir(parents=True)
    (data / "id").touch()
    return start_process("qemu-system-x86_64", folder)


def start_process(name: str, folder: Path) -> int:
    """Start something that looks like a program for the machines of a folder."""
    pid = subprocess.Popen(
        [name, "-c", "sleep 60 & wait"],
        executable="/bin/bash",
        env={**os.environ, "VAGRANT_DOTFILE_PATH": str(folder)},
        start_new_session=True,
    ).pid
    deadline = time.monotonic() + 10
    while pid not in machines.pids(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    return pid


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[int]:
    """Start a QEMU of another user."""
    pid = start_machine(tmp_path / "elsewhere")
    yield pid
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, ValueError])
def test_run_ends_only_its_machines(ending: type[BaseException] | None, elsewhere: int) -> None:
    pid = 0
    try:
        with machines.machines_folder("run") as folder:
            pid = start_machine(folder)
            if ending:
                raise ending
    except (KeyboardInterrupt, ValueError):
        pass
    assert not is_running(pid)
    assert not folder.exists()
    assert is_running(elsewhere)


def test_kept_machines_stay() -> None:
    with machines.machines_folder("run") as folder:
        pid = start_machine(folder)
        machines.keep(folder)
    with machines.machines_folder("next"):
        assert is_running(pid)
    (folder / "machines/6.1/qemu/id").unlink()
    with machines.machines_folder("last"):
        assert not folder.exists()
    assert not is_running(pid)


def test_vagrant_that_has_just_destroyed_kept_machines_is_not_killed() -> None:
    with machines.machines_folder("run") as folder:
        qemu = start_machine(folder)
        machines.keep(folder)
    vagrant = start_process("vagrant", folder)
    (folder / "machines/6.1/qemu/id").unlink()
    os.kill(qemu, signal.SIGKILL)
    with machines.machines_folder("next"):
        assert is_running(vagrant)
    os.killpg(vagrant, signal.SIGKILL)
    assert has_ended(vagrant)
    with machines.machines_folder("last"):
        assert not folder.exists()


def run_and_hang(answers: multiprocessing.Queue[tuple[Path, int]]) -> None:
    with machines.machines_folder("run") as folder:
        answers.put((folder, start_machine(folder)))
        time.sleep(60)


def test_next_run_ends_orphans() -> None:
    answers: multiprocessing.Queue[tuple[Path, int]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=run_and_hang, args=(answers,))
    process.start()
    folder, pid = answers.get(timeout=10)
    with machines.machines_folder("beside"):
        assert is_running(pid)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=10)
    assert is_running(pid)
    with machines.machines_folder("next"):
        assert not is_running(pid)
        assert not folder.exists()


def begin_and_die(answers: multiprocessing.Queue[int], path: str) -> None:
    """Start something as `process` does, and die as by kill -9."""
    environment = {**os.environ, **process.owner_environment()}
    answers.put(subprocess.Popen(["sleep", "60"], env=environment, cwd=path).pid)
    time.sleep(60)


def test_next_run_ends_other_orphans(tmp_path: Path) -> None:
    answers: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=begin_and_die, args=(answers, str(tmp_path)))
    process.start()
    pid = answers.get(timeout=10)
    with machines.machines_folder("beside"):
        assert is_running(pid)
    process.kill()
    process.join(timeout=10)
    with machines.machines_folder("next"):
        assert has_ended(pid)


def test_machine_without_folder_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / ".vagrant/machines/6.1/qemu"
    folder.mkdir(parents=True)
    script = "sleep 60 & wait"
    file = {"driver": "file", "filename": str(folder / "disk.qcow2")}
    disk = json.dumps({"node-name": "disk-system", "file": file, "driver": "qcow2"})
    pid = subprocess.Popen(
        ["qemu-system-x86_64", "-c", script, "-name", "hatester-6.1", "-blockdev", disk],
        executable="/bin/bash",
    ).pid
    with machines.machines_folder("first"):
        assert is_running(pid)
    shutil.rmtree(tmp_path / ".vagrant")
    with machines.machines_folder("next"):
        assert has_ended(pid)
