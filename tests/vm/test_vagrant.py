"""A guest by hand, with Vagrant's own commands."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.artifacts.ssh_keys import GUEST
from hatester.guests import machines
from tests.factories.processes import LOOPBACK, listening_addresses
from tests.factories.project import invoke

KERNEL = "6.1"


class ByHand:
    """`vagrant` in a checkout, with a folder of its own for the machines."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout = checkout
        self.machines = folder

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

    def by_ssh(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in it by ssh(1), with what `ssh-config` says, which is kept in a folder."""
        (folder / "by-hand").write_text(self("ssh-config", KERNEL))
        return subprocess.run(
            ["ssh", "-F", folder / "by-hand", KERNEL, "echo entered"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def state(self) -> str:
        lines = self("status", KERNEL, "--machine-readable").splitlines()
        return next(line.split(",")[3] for line in lines if line.split(",")[2] == "state")


@pytest.fixture(scope="module")
def vagrant(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    by_hand = ByHand(checkout, tmp_path_factory.mktemp("machines"))
    yield by_hand
    by_hand.try_("destroy", "-f")
    left = machines.pids(by_hand.machines)
    machines.remove(by_hand.machines)
    assert not left


def test_a_machine_without_an_image_says_which_command_makes_it(vagrant: ByHand) -> None:
    vagrant("validate")
    assert vagrant.state() == "not_created"
    done = vagrant.try_("up", KERNEL)
    assert done.returncode != 0
    assert f"./bootstrap invoke make-images --kernel {KERNEL}" in done.stderr
    assert vagrant.state() == "not_created"


def declared(checkout: Path) -> Path:
    """Return the file that declares the machines by hand, with the one of KERNEL."""
    assert invoke("images", "--kernel", KERNEL, folder=checkout, seconds=900).returncode == 0
    return checkout / ".hatester/machines.json"


def test_a_machine_goes_through_its_life_by_hand(
    vagrant: ByHand, checkout: Path, tmp_path: Path
) -> None:
    machine = json.loads(declared(checkout).read_text())[KERNEL]

    vagrant("up", KERNEL)
    assert vagrant.ssh("uname -r") == machine["release"]
    assert vagrant.by_ssh(tmp_path).stdout == "entered\n"
    [pid] = machines.pids(vagrant.machines)
    assert listening_addresses(pid) == {LOOPBACK}
    folder = vagrant.machines / "machines" / KERNEL / "qemu"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

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
    assert "did not shut down" not in vagrant("halt", KERNEL)
    assert vagrant.state() == "poweroff"
    assert not machines.pids(vagrant.machines)
    vagrant("up", KERNEL)
    assert vagrant.ssh("cat /srv/disk; ls /run/memory || true") == "kept"


def test_a_machine_with_another_host_key_is_not_entered(
    vagrant: ByHand, checkout: Path, tmp_path: Path
) -> None:
    file = declared(checkout)
    # It may be up already, as another test has left it.
    vagrant("up", KERNEL)
    known = json.loads(file.read_text())
    true, mine = (Path(known[KERNEL][name]) for name in ("ssh_config", "private_key"))
    # Of the two keys that there are, it is the other one.
    (tmp_path / "known_hosts").write_text(f"{GUEST} {mine.with_suffix('.pub').read_text()}")
    other = tmp_path / "ssh_config"
    other.write_text(true.read_text().replace(str(mine.parent), str(tmp_path)))
    known[KERNEL]["ssh_config"] = str(other)
    file.write_text(json.dumps(known))

    for done in (vagrant.try_("ssh", KERNEL, "-c", "echo entered"), vagrant.by_ssh(tmp_path)):
        assert (done.returncode, done.stdout) == (255, "")
        assert "Host key verification failed" in done.stderr
    # Vagrant's own client powers the guest off.
    assert "did not shut down" in vagrant("halt", KERNEL)
    assert vagrant.state() == "poweroff"
    vagrant("destroy", "-f", KERNEL)
    assert vagrant.state() == "not_created"
    assert not machines.pids(vagrant.machines)
