"""A guest from within: what a cell leaves is seen, and nothing else in the world is reached."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop
from hatester.artifacts.kernel import Kit
from hatester.artifacts.manifest import Manifest
from hatester.artifacts.mirrors import find_mirrors
from hatester.artifacts.ssh_keys import Keys, find_keys
from hatester.guests import host_capabilities, machines, qmp
from hatester.guests.checkpoint import KIND, Starter
from hatester.guests.guest import Guest, start
from hatester.guests.vagrant import Vagrant
from hatester.matrix.binds import Bind
from hatester.matrix.declarations import load_matrix
from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.paths import MATRIX
from hatester.util.progress import Progress
from tests.factories.processes import LOOPBACK, listening_addresses

KERNEL = "6.1"


class NotedProgress(Progress):
    """Keeps what guests do."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def doing(self, _guest: str, what: str) -> None:
        self.lines.append(what)


@pytest.fixture(scope="module")
def starter(checkout: Path) -> Iterator[Starter]:
    keys = find_keys()
    with ThreadPoolExecutor() as pool, machines.machines_folder("test") as folder:
        workshop = Workshop(Archive(find_mirrors(None, None)), load_matrix(MATRIX), keys, pool)
        materials = workshop.make([KERNEL], ["2.2"])
        vagrant = Vagrant(checkout, folder, host_capabilities.choose_engine())
        trees = {"2.2": materials.tree("2.2")}
        yield Starter(materials.image(KERNEL), trees, keys, vagrant, Progress())


@contextlib.contextmanager
def started(starter: Starter, machine: str) -> Iterator[Guest]:
    with starter.start(machine) as guest:
        yield guest
    starter.vagrant.destroy(vm_name=machine)


@pytest.fixture(scope="module")
def guest(starter: Starter) -> Iterator[Guest]:
    with started(starter, KERNEL) as guest:
        yield guest


@pytest.mark.parametrize(
    ("command", "trace", "undo"),
    [
        ("ip link add dummy0 type dummy", "interface left: dummy0", "ip link delete dummy0"),
        (
            "sysctl -qw net.ipv4.ip_nonlocal_bind=1",
            "sysctl gone: net/ipv4/ip_nonlocal_bind = 0",
            "sysctl -qw net.ipv4.ip_nonlocal_bind=0",
        ),
        ("mount -t tmpfs x /mnt", "mount left: x /mnt tmpfs", "umount /mnt"),
        (
            'nohup python3 -c \'import socket, time; s = socket.create_server(("", 80));'
            " time.sleep(900)' >/dev/null 2>&1 & sleep 3",
            "listener left: 0.0.0.0:80",
            "pkill -f create_serve[r]",
        ),
    ],
)
def test_what_a_cell_leaves_is_seen(guest: Guest, command: str, trace: str, undo: str) -> None:
    assert guest.traces() == []
    guest.run(command)
    assert any(each.startswith(trace) for each in guest.traces())
    guest.run(undo)


def test_a_further_guest_goes_on_from_the_saved_one_and_has_nothing_of_the_first(
    guest: Guest, starter: Starter
) -> None:
    guest.run("ip link add dummy0 type dummy; echo mine >/srv/mine")
    noted = NotedProgress()
    with started(dataclasses.replace(starter, progress=noted), f"{KERNEL}-2") as other:
        assert noted.lines[0].startswith("going on from a saved")
        assert other.traces() == []
        assert "mine" not in other.run("ls /srv")
        # Its program sets the clock.
        other.server()
        assert abs(float(other.run("date +%s.%N")) - time.time()) < 3600
    guest.run("ip link delete dummy0; rm /srv/mine")


def test_a_saved_guest_that_cannot_be_loaded_is_booted_instead_and_dropped(
    starter: Starter, tmp_path: Path
) -> None:
    # By another name the same kit is another ingredient, so that this one has a saved guest of
    # its own.
    kit = starter.image.kit
    own = dataclasses.replace(kit, folder=tmp_path / f"kit-{time.time_ns()}")
    own.folder.symlink_to(kit.folder)
    mine = dataclasses.replace(starter, image=dataclasses.replace(starter.image, kit=own))
    with started(mine, f"{KERNEL}-3"):
        [saved] = _saved(own)
    builds = [f"builds/{tree.folder.name}" for tree in mine.trees.values()]
    assert json.loads((saved / "ready.json").read_text())["needs"] == sorted(
        [f"kernels/{own.folder.name}", f"systems/{mine.image.system.parent.name}", *builds]
    )
    (saved / "devices").write_bytes(b"no state of any device")
    # As if it had been made so, since damage would be noticed before.
    Manifest(saved / ".manifest.json", saved).write()
    with started(mine, f"{KERNEL}-3") as guest:
        assert guest.traces() == []
    assert not _saved(own)
    shutil.rmtree(saved.with_name(f".{saved.name}.damaged"))


def _saved(kit: Kit) -> list[Path]:
    """Return the saved guests of a kit."""
    need = f"kernels/{kit.folder.name}"
    # An earlier hatester may have left others, which say less.
    files = (cache.root() / KIND).glob("[!.]*/ready.json")
    return [file.parent for file in files if need in json.loads(file.read_text()).get("needs", ())]


def test_a_guest_stands_still_unless_it_is_awaited(guest: Guest) -> None:
    assert qmp.status(guest.folder) == "paused"
    with guest.running():
        assert qmp.status(guest.folder) == "running"
    guest.run("true")
    assert qmp.status(guest.folder) == "paused"


def test_a_guest_on_the_hosts_clock_has_all_processors(starter: Starter) -> None:
    vagrant = Vagrant(
        Path(starter.vagrant.root), starter.vagrant.folder, host_capabilities.choose_engine("real")
    )
    real = dataclasses.replace(starter, vagrant=vagrant)
    with started(real, f"{KERNEL}-4") as guest:
        assert qmp.status(guest.folder) == "running"
        assert guest.run("nproc").strip() == "2"


def test_a_command_that_fails_shows_its_last_words(guest: Guest) -> None:
    with pytest.raises(MeasurementError, match=r"failed with status 3: no such luck"):
        guest.run("echo no such luck >&2; exit 3")


def test_another_kernel_than_the_kits_is_no_measurement(guest: Guest) -> None:
    kit = dataclasses.replace(guest.image.kit, release="9.9")
    image = dataclasses.replace(guest.image, kit=kit)
    other = Guest(guest.machine, image, guest.keys, guest.vagrant)
    other.connection = guest.connection
    with pytest.raises(MeasurementError, match=r"the guest runs Linux 6\.1.*, not 9\.9"):
        other.prepare({})


def test_a_guest_without_an_image_does_not_start(starter: Starter) -> None:
    image = dataclasses.replace(starter.image, system=Path("/nowhere/system.ext4"))
    with pytest.raises(MeasurementError, match="has no guest image yet"):
        start("gone", image, starter.keys, starter.vagrant)


def pid(guest: Guest) -> int:
    qemu = guest.process()
    assert qemu
    return qemu.pid


def test_nothing_leads_to_a_guest_but_from_127_0_0_1(guest: Guest) -> None:
    with qmp.forward_ports(guest.folder, (Bind("192.168.42.43", 80), Bind("*", 81))) as ports:
        assert len(ports) == 2
        assert listening_addresses(pid(guest)) == {LOOPBACK}


def test_nothing_listens_in_a_guest_but_its_ssh_server(guest: Guest) -> None:
    lines = guest.run("ss --no-header --listening --numeric --tcp --udp --raw").splitlines()
    assert {line.split()[4] for line in lines} == {"198.19.255.15:65522"}


def test_nobody_has_a_password_in_a_guest(guest: Guest) -> None:
    passwords = [line.split(":")[1] for line in guest.run("cat /etc/shadow").splitlines()]
    assert {password[:1] for password in passwords} <= {"*", "!"}


def test_no_other_key_opens_a_guest(guest: Guest, tmp_path: Path) -> None:
    file = str(tmp_path / "key")
    process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], seconds=30)
    known = ["-F", str(guest.keys.ssh_config), "-p", str(qmp.ssh_port(guest.folder))]
    key = ["-i", file, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    with guest.running():
        done = subprocess.run(
            ["ssh", *known, *key, "root@127.0.0.1", "echo entered"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (255, "")
    # In brackets is what else it would take.
    assert "Permission denied (publickey)." in done.stderr


def test_a_guest_with_another_host_key_is_not_entered(guest: Guest, tmp_path: Path) -> None:
    other = Keys(tmp_path / "keys")
    shutil.copytree(guest.keys.folder, other.folder)
    # Of the two keys that there are, it is the other one.
    shutil.copy(other.public, other.host_public)
    impostor = Guest(guest.machine, guest.image, other, guest.vagrant)
    with pytest.raises(MeasurementError, match=r"its SSH server: Host key .* does not match"):
        impostor.connect()
    impostor.connection.close()


WAYS_OUT = """
import json, socket, sys

QUESTION = bytes.fromhex("0001010000010000000000000000020001")  # the name servers of the root

def tcp(host, port):
    socket.create_connection((host, port), timeout=5).close()

def udp(host, port):
    with socket.socket(type=socket.SOCK_DGRAM) as sent:
        sent.settimeout(2)
        sent.sendto(QUESTION, (host, port))
        sent.recv(512)

def leads_out(way, *place):
    try:
        way(*place)
    except OSError:
        return False
    return True

ways = {(way.__name__, host, port): leads_out(way, host, int(port))
        for way in (tcp, udp) for host, port in (each.rsplit(":", 1) for each in sys.argv[1:])}
print(json.dumps([" ".join(way) for way, leads in ways.items() if leads]))
"""


def test_a_guest_has_no_way_out(guest: Guest) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        # Without `restrict`, .2 is the host's 127.0.0.1, and .3 asks its name server.
        places = (f"198.19.255.2:{port}", "198.19.255.3:53", "192.0.2.1:80")
        guest.run("ip route add default via 198.19.255.2")
        try:
            ways = guest.run(f"python3 -c {shlex.quote(WAYS_OUT)} {' '.join(places)}")
        finally:
            guest.run("ip route delete default")
        assert json.loads(ways) == []
        for host in (tcp, udp):
            host.setblocking(False)
        with pytest.raises(BlockingIOError):
            tcp.accept()
        with pytest.raises(BlockingIOError):
            udp.recv(512)


def test_a_guest_has_no_ipv6_but_its_own(guest: Guest) -> None:
    assert guest.run("ip -6 route show default") == ""
    assert guest.run("ip -6 -brief address show dev hatester0 scope site") == ""


def test_qemu_and_what_it_starts_get_no_more_privileges(guest: Guest) -> None:
    status = Path(f"/proc/{pid(guest)}/status").read_text()
    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status  # SECCOMP_MODE_FILTER
