"""A folder of results: its files are believed by its checksums."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from hatester.results import folder as folders
from hatester.results.folder import parse, read, store
from hatester.util import files
from hatester.util.errors import UserError
from hatester.util.jsonfile import Damaged


class Fruit(pydantic.BaseModel):
    name: str


APPLE = Fruit(name="apple").model_dump_json()
PEAR = Fruit(name="pear").model_dump_json()


def test_sha256sum_verifies_a_folder(tmp_path: Path) -> None:
    store(tmp_path, {"a.json": APPLE, "b.log": "line\n"})
    store(tmp_path, {"a.json": PEAR, "c.log": None})
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["b.log: OK", "a.json: OK"]


def test_a_change_of_any_bit_is_seen(tmp_path: Path) -> None:
    store(tmp_path, {"a.json": APPLE})
    data = (tmp_path / "a.json").read_bytes()
    for number in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[number // 8] ^= 1 << number % 8
        (tmp_path / "a.json").write_bytes(spoilt)
        with pytest.raises(Damaged, match="is not as it was written"):
            read(tmp_path / "a.json")


def _make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.unlink(), "is missing"),
        (_make_pipe, "is not a file"),
        (lambda file: (file.unlink(), file.mkdir()), "is not a file"),
        (lambda file: (file.parent / "SHA256SUMS").unlink(), "is not as it was written"),
        (lambda file: (file.parent / "SHA256SUMS").write_bytes(b"\xff"), "is not as it was"),
    ],
)
def test_a_file_that_cannot_be_believed_is_damaged(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    store(tmp_path, {"a.json": APPLE})
    spoil(tmp_path / "a.json")
    with pytest.raises(Damaged, match=reason):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["{}", "[]", "{", "[" * 100_000, '{"name": "\\ud800"}'])
def test_a_file_of_another_form_is_damaged_whoever_wrote_it(tmp_path: Path, content: str) -> None:
    store(tmp_path, {"a.json": content})
    with pytest.raises(Damaged, match="has an unknown form"):
        parse(tmp_path / "a.json", Fruit)


class Killed(BaseException):
    """An end that no code handles, like that by kill -9."""


@pytest.mark.parametrize("number", range(4))
def test_a_folder_is_consistent_whenever_its_writer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store(tmp_path, {"a.json": APPLE, "b.json": APPLE})
    left = iter(range(number))

    def write_whole(path: Path, content: str) -> None:
        if next(left, None) is None:
            raise Killed
        files.write_whole(path, content)

    monkeypatch.setattr(folders, "write_whole", write_whole)
    with pytest.raises(Killed):
        store(tmp_path, {"a.json": PEAR, "b.json": PEAR})
    last = parse(tmp_path / "b.json", Fruit)
    with contextlib.suppress(Damaged):
        assert parse(tmp_path / "a.json", Fruit) == last


def test_a_text_that_utf8_does_not_have_is_stored_all_the_same(tmp_path: Path) -> None:
    store(tmp_path, {"a.log": "\ud800"})
    assert read(tmp_path / "a.log") == b"?"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/SHA256SUMS cannot be written|file/a.json cannot"):
        store(tmp_path / "file", {"a.json": APPLE})
