"""New scenarios, matrices and expectations, as `invoke init` writes them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from hatester.commands.init import KINDS
from tests.factories.project import call, copy_matrix

PLACES = {
    "scenario": "matrix/scenarios/mine",
    "matrix": "matrix/mine.yml",
    "expectation": "matrix/expectations/mine.yml",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_works_as_it_is(tmp_path: Path, kind: str) -> None:
    folder = copy_matrix(tmp_path)
    done = call("init", kind, "mine", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"new {kind}: {folder / PLACES[kind]}\n" in done.stdout
    command = done.stdout.partition("next: ./bootstrap invoke ")[2]
    planned = call("--dry", *shlex.split(command), folder=folder)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    folder = copy_matrix(tmp_path)
    place = folder / PLACES[kind]
    place.write_text("precious")
    done = call("init", kind, "mine", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"init: {place} exists. Choose another name.\n"
    assert place.read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("setting", "x"),
            "init: there is no 'setting' (there are: scenario, matrix, expectation).",
        ),
        (("scenario", "../x"), "init: '../x' cannot name a new scenario: expected letters, digits"),
        (("matrix", ""), "init: expected NAME."),
        (("matrix", "kernels"), "init: 'kernels' cannot name a new matrix: expected letters, "),
        (("scenario",), "init: expected NAME."),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    folder = copy_matrix(tmp_path)
    before = sorted(folder.rglob("*"))
    done = call("init", *words, folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = copy_matrix(tmp_path)
    (folder / "matrix/expectations").rename(tmp_path / "aside")
    (folder / "matrix/expectations").write_text("a file")
    done = call("init", "expectation", "mine", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(folder / "matrix/expectations") in done.stderr
