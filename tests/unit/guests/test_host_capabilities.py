"""Engines: the accelerator, clock and processors of guests."""

from __future__ import annotations

import re

import pytest

from hatester.guests import host_capabilities
from hatester.guests.host_capabilities import Engine, choose_engine, find_clock, virtual_cpus
from hatester.util import process
from hatester.util.errors import UserError

OLD = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022"
FAIR = "QEMU emulator version 10.0.2"


@pytest.mark.parametrize(
    ("clock", "accelerator", "qemu", "chosen"),
    [
        ("auto", "tcg", OLD, Engine("tcg", "virtual", 1)),
        ("auto", "tcg", FAIR, Engine("tcg", "virtual", 2)),
        ("auto", "kvm", OLD, Engine("kvm", "real", 2)),
        ("real", "tcg", OLD, Engine("tcg", "real", 2)),
        ("real", "kvm", FAIR, Engine("kvm", "real", 2)),
        # A virtual clock is emulated, whatever the host could do.
        ("virtual", "kvm", OLD, Engine("tcg", "virtual", 1)),
        ("virtual", "tcg", FAIR, Engine("tcg", "virtual", 2)),
    ],
)
def test_the_clock_follows_the_accelerator_unless_the_user_decides(
    clock: str, accelerator: str, qemu: str, chosen: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HATESTER_ACCEL", accelerator)
    monkeypatch.setattr(host_capabilities, "qemu_version", lambda: qemu)
    assert choose_engine(clock) == chosen
    assert chosen.is_virtual is (chosen.clock == "virtual")


def test_an_accelerator_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATESTER_ACCEL", "xen")
    with pytest.raises(UserError, match="the choices are"):
        choose_engine("real")
    found = find_clock()
    assert not found.is_ok
    assert "the choices are" in found.text


@pytest.mark.parametrize(
    ("version", "cpus"),
    [
        ("7.2.22", 1), ("8.0", 1), ("8.0.5", 1), ("8.1.0", 2), ("8.1", 2), ("8.2.2", 2),
        ("10.0.2", 2), ("10.0", 2),
    ],
)  # fmt: skip
def test_several_processors_share_a_virtual_clock_since_qemu_8_1(version: str, cpus: int) -> None:
    assert virtual_cpus(f"QEMU emulator version {version} (Debian 1:{version}+ds-1)") == cpus


def test_where_qemu_does_not_say_its_version_one_processor_is_safe() -> None:
    assert virtual_cpus("") == virtual_cpus("QEMU") == 1


@pytest.mark.parametrize(
    ("accelerator", "qemu", "text"),
    [
        ("kvm", FAIR, "real: guests live on the host's time"),
        ("tcg", FAIR, "two processors each"),
        ("tcg", OLD, "one processor each, .*; two need QEMU 8.1 or later"),
    ],
)
def test_the_doctor_says_which_clock_guests_have_and_what_it_costs(
    accelerator: str, qemu: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HATESTER_ACCEL", accelerator)
    monkeypatch.setattr(host_capabilities, "qemu_version", lambda: qemu)
    found = find_clock()
    assert found.is_ok
    assert re.search(text, found.text)


@pytest.mark.parametrize(
    ("chosen", "processors", "gibibytes", "guests"),
    [
        (Engine("tcg", "real", 2), 1, 24, 1),
        (Engine("tcg", "real", 2), 2, 24, 1),
        (Engine("tcg", "real", 2), 8, 24, 4),
        (Engine("tcg", "real", 2), 8, 0, 1),
        (Engine("tcg", "virtual", 1), 2, 24, 2),
        (Engine("tcg", "virtual", 2), 8, 24, 8),
        (Engine("tcg", "virtual", 2), 8, 5, 5),
        (Engine("kvm", "real", 2), 8, 24, 8),
        (Engine("kvm", "real", 2), 8, 3, 3),
    ],
)
def test_guests_at_once_have_room_on_processors_and_in_memory(
    chosen: Engine, processors: int, gibibytes: int, guests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "processors", lambda: processors)
    monkeypatch.setattr(host_capabilities, "has_memory_for", lambda: gibibytes)
    assert host_capabilities.guests_at_once(chosen) == guests
