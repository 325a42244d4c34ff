"""Sealed files: what was written, or nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.util import jsonfile
from hatester.util.errors import UserError
from hatester.util.jsonfile import Damaged

FORM = pydantic.TypeAdapter(dict[str, list[int]])
CONTENT = {"a": [1, 2], "b": []}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed") / "file.json"


@pytest.fixture(scope="module")
def written(file: Path) -> bytes:
    jsonfile.write(file, CONTENT)
    return file.read_bytes()


@given(st.data())
def test_what_has_another_byte_or_none_or_more_is_never_taken(
    file: Path, written: bytes, data: st.DataObject
) -> None:
    text = bytearray(written)
    place = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(st.sampled_from(["another", "cut off", "one more"]))
    if change == "another":
        text[place] ^= data.draw(st.integers(1, 255))
    elif change == "cut off":
        del text[place:]
    else:
        text.insert(place, data.draw(st.integers(0, 255)))
    file.write_bytes(text)
    with pytest.raises(Damaged):
        jsonfile.read(file, FORM)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=9), st.lists(st.integers(), max_size=3)
    )
)
def test_what_was_written_is_read(file: Path, content: dict[str, list[int]]) -> None:
    jsonfile.write(file, content)
    assert jsonfile.read(file, FORM) == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ('{"content": 1}', "has no checksum"),
        ('{"content": NaN}', "is not JSON"),
        ('{"content": 1e999}', "is not JSON"),
        (f'{{"content": {"9" * 400}}}', "is not JSON"),
        ("\udcff", "is not JSON"),
    ],
)
def test_somebody_elses_file_is_set_aside_with_a_word(
    tmp_path: Path, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert jsonfile.recall(file, FORM) is None
    assert f"{file} {reason}" in (said := capsys.readouterr().err)
    assert "; quarantined as .file.json.damaged" in said
    assert (tmp_path / ".file.json.damaged").exists()
    assert jsonfile.recall(file, FORM) is None
    assert not capsys.readouterr().err


def test_what_is_no_file_or_of_another_form_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    makes: tuple[Callable[[], None], ...] = (
        file.mkdir,
        lambda: os.mkfifo(file),
        lambda: file.symlink_to("nowhere"),
        lambda: jsonfile.write(file, {"a": "b"}),
    )
    for make in makes:
        make()
        assert jsonfile.recall(file, FORM) is None
        jsonfile.write(file, CONTENT)
        assert jsonfile.recall(file, FORM) == CONTENT
        file.unlink()


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"/file/other cannot be used: Not a directory\.$"):
        jsonfile.recall(tmp_path / "file/other", FORM)
    with pytest.raises(UserError, match=r"/file cannot be used: File exists\.$"):
        jsonfile.write(tmp_path / "file/other", CONTENT)


def test_it_is_plain_json(tmp_path: Path) -> None:
    jsonfile.write(tmp_path / "file.json", CONTENT)
    assert json.loads((tmp_path / "file.json").read_text())["content"] == CONTENT
