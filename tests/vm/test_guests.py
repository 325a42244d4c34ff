"""A guest from within: what a cell could leave behind is seen, and taken back."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester import guests, runs
from hatester.archive import Archive, find_mirrors
from hatester.errors import MeasurementError
from hatester.guests import PROGRAM, Guest
from hatester.images import Image, make_images, tell_vagrant
from hatester.keys import find_keys
from hatester.matrix import load_matrix
from hatester.paths import MATRIX
from hatester.vagrant import Vagrant

KERNEL = "6.1"


@pytest.fixture(scope="module")
def guest(checkout: Path) -> Iterator[Guest]:
    keys = find_keys()
    archive = Archive(find_mirrors(None, None))
    images = make_images(archive, load_matrix(MATRIX), [KERNEL], keys, print)
    tell_vagrant(checkout / ".hatester/machines.json", images, keys)
    image = images[KERNEL]
    assert isinstance(image, Image)
    with (
        runs.machines_folder("test") as folder,
        guests.start(KERNEL, image.kit, keys, Vagrant(checkout, folder)) as guest,
    ):
        guest.prepare({})
        yield guest


def traces(guest: Guest) -> list[str]:
    found: list[str] = json.loads(guest.run(f"python3 {PROGRAM} traces"))
    return found


def test_a_guest_is_clean_when_it_is_prepared(guest: Guest) -> None:
    assert traces(guest) == []


@pytest.mark.parametrize(
    ("command", "trace"),
    [
        ("ip link add dummy0 type dummy", "interface left: dummy0"),
        ("sysctl -qw net.ipv4.ip_nonlocal_bind=1", "sysctl gone: net/ipv4/ip_nonlocal_bind = 0"),
        ("mount -t tmpfs x /mnt", "mount left: x /mnt tmpfs"),
        (
            'nohup python3 -c \'import socket, time; s = socket.create_server(("", 80));'
            " time.sleep(900)' >/dev/null 2>&1 & sleep 3",
            "listener left: 0.0.0.0:80",
        ),
    ],
)
def test_what_a_cell_leaves_is_seen_and_taken_back(guest: Guest, command: str, trace: str) -> None:
    guest.run(command)
    assert any(each.startswith(trace) for each in traces(guest))
    guest.restore()
    assert traces(guest) == []
    assert abs(float(guest.run("date +%s.%N")) - time.time()) < 60


def test_a_command_that_fails_shows_its_last_words(guest: Guest) -> None:
    with pytest.raises(MeasurementError, match=r"failed with status 3: no such luck"):
        guest.run("echo no such luck >&2; exit 3")


def test_another_kernel_than_the_kits_is_no_measurement(guest: Guest) -> None:
    with pytest.raises(MeasurementError, match=r"the guest runs Linux 6\.1.*, not 9\.9"):
        Guest.prepare(_with_release(guest, "9.9"), {})


def _with_release(guest: Guest, release: str) -> Guest:
    kit = dataclasses.replace(guest.kit, release=release)
    other = Guest(guest.name, kit, guest.keys, guest.vagrant)
    other.connection = guest.connection
    return other
