"""A guest by hand, with Vagrant's own commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester import processes, runs
from tests.helpers import invoke

KERNEL = "6.1"


class ByHand:
    """`vagrant` in a checkout, with a folder of its own for the machines."""

    def __init__(self, checkout: Path, machines: Path) -> None:
        self.checkout = checkout
        self.machines = machines

    def try_(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["vagrant", *words],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.checkout,
            timeout=300,
            env={**os.environ, "VAGRANT_DOTFILE_PATH": str(self.machines)},
        )

    def __call__(self, *words: str) -> str:
        done = self.try_(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ssh(self, command: str) -> str:
        return self("ssh", KERNEL, "-c", command).strip()

    def state(self) -> str:
        lines = self("status", KERNEL, "--machine-readable").splitlines()
        return next(line.split(",")[3] for line in lines if line.split(",")[2] == "state")


@pytest.fixture(scope="module")
def vagrant(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    by_hand = ByHand(checkout, tmp_path_factory.mktemp("machines"))
    yield by_hand
    by_hand.try_("destroy", "-f")
    left = processes.machines(by_hand.machines)
    runs.remove(by_hand.machines)
    assert not left


def listening_addresses(pid: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, on which a process listens for TCP."""
    links = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}  # noqa: PTH115
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.add(fields[1].partition(":")[0])
    return found


def test_a_machine_without_an_image_says_which_command_makes_it(vagrant: ByHand) -> None:
    vagrant("validate")
    assert vagrant.state() == "not_created"
    done = vagrant.try_("up", KERNEL)
    assert done.returncode != 0
    assert f"./bootstrap invoke images --kernel {KERNEL}" in done.stderr
    assert vagrant.state() == "not_created"


def test_a_machine_goes_through_its_life_by_hand(vagrant: ByHand, checkout: Path) -> None:
    assert invoke("images", "--kernel", KERNEL, folder=checkout, seconds=900).returncode == 0
    release = json.loads((checkout / ".hatester/machines.json").read_text())[KERNEL]["release"]

    vagrant("up", KERNEL)
    assert vagrant.ssh("uname -r") == release
    assert "HostName 127.0.0.1" in vagrant("ssh-config", KERNEL)
    [pid] = processes.machines(vagrant.machines)
    assert listening_addresses(pid) == {"0100007F"}

    # A snapshot holds the memory too: /run is not on the disk.
    vagrant.ssh("echo before > /run/memory")
    vagrant("snapshot", "save", KERNEL, "first")
    vagrant.ssh("echo after > /run/memory")
    assert "first" in vagrant("snapshot", "list", KERNEL)
    vagrant("snapshot", "restore", KERNEL, "first")
    assert vagrant.ssh("cat /run/memory") == "before"
    vagrant("snapshot", "delete", KERNEL, "first")
    assert "first" not in vagrant("snapshot", "list", KERNEL)

    vagrant.ssh("echo kept > /srv/disk")
    vagrant("halt", KERNEL)
    assert vagrant.state() == "poweroff"
    assert not processes.machines(vagrant.machines)
    vagrant("up", KERNEL)
    assert vagrant.ssh("cat /srv/disk; ls /run/memory || true") == "kept"
    vagrant("destroy", "-f", KERNEL)
    assert vagrant.state() == "not_created"
    assert not processes.machines(vagrant.machines)
