"""Consoles of guests: their end, however much is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.guests.console import CONSOLE_BYTES, Console


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_console_that_is_not_there_is_empty(file: Path) -> None:
    console = Console(file)
    console.trim()
    assert (console.position(), console.text()) == (0, "")


def test_cell_has_its_own_part(file: Path) -> None:
    file.write_bytes(b"boot\n")
    console = Console(file)
    begun = console.position()
    with file.open("ab") as qemu:
        qemu.write(b"cell \xff\n")
    assert console.text(begun) == "cell \ufffd\n"
    assert console.text() == "boot\ncell \ufffd\n"


def test_flood_is_bounded_and_its_end_is_kept(file: Path) -> None:
    console = Console(file)
    written = 0
    # QEMU appends to a file that it has open all the while.
    with file.open("ab", buffering=0) as qemu:
        for number in range(40):
            written += qemu.write(f"{number:07}\n".encode() * (CONSOLE_BYTES // 8))
            console.trim()
            assert file.stat().st_size <= 9 * CONSOLE_BYTES
            assert console.position() == written
        begun = console.position()
        qemu.write(b"the end\n")
    assert console.text(begun) == "the end\n"
    assert len(console.text()) == CONSOLE_BYTES
    assert console.text().endswith("0000039\nthe end\n")


def test_text_of_what_was_dropped_is_what_is_left(file: Path) -> None:
    console = Console(file)
    file.write_bytes(b"x" * 9 * CONSOLE_BYTES)
    console.trim()
    assert console.text(since=10) == "x" * CONSOLE_BYTES
