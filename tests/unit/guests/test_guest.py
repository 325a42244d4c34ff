"""A guest of which nothing is left, and the program that guests run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hatester.guests.console import Console
from hatester.guests.guest import Guest, pack_program
from hatester.util.paths import PROVISION


def test_a_guest_whose_files_are_gone_is_no_other_process(tmp_path: Path) -> None:
    vagrant = SimpleNamespace(data=lambda _: tmp_path / "gone", console=lambda _: Console(tmp_path))
    guest = Guest("6.1", *cast(Any, (None, None, vagrant)))
    assert guest.process() is None
    assert guest.last_words().startswith("the files of its machine are gone; ")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the program's files."""
    folder = tmp_path / "provision"
    shutil.copytree(PROVISION, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("hatester.guests.guest.PROVISION", folder)
    pack_program.cache_clear()
    yield folder
    pack_program.cache_clear()


def test_a_program_is_packed_once_and_is_made_of_paths_and_contents_alone(program: Path) -> None:
    first = pack_program()
    file = program / "guest/errors.py"
    os.utime(file, (0, 0))
    file.chmod(0o700)
    (program / "guest/notes.txt").touch()
    pack_program.cache_clear()
    assert pack_program() == first
    file.write_text("# another one\n")
    assert pack_program() == first
    pack_program.cache_clear()
    assert pack_program() != first
