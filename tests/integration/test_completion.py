"""Completion in bash itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatester.cli.completion import SCRIPT
from hatester.util.paths import PROJECT

COMPLETE = """\
compopt() { echo "compopt $*"; }
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_hatester "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home with a checkout, whose environment is this one, and another project."""
    checkout = tmp_path / "ha"
    checkout.mkdir()
    for name in (
        "bootstrap",
        "hatester",
        "provision",
        "matrix",
        "tests",
        "tasks.py",
        "invoke.yaml",
    ):
        (checkout / name).symlink_to(PROJECT / name)
    (checkout / ".venv/bin").mkdir(parents=True)
    # A link to it would find the libraries of another environment.
    (checkout / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (checkout / ".venv/bin/python").chmod(0o755)
    (tmp_path / "other").mkdir()
    installed = tmp_path / "hatester"
    installed.write_text(f'#!/bin/sh\ncd {checkout} && exec .venv/bin/python -m hatester "$@"\n')
    installed.chmod(0o755)
    return tmp_path


def completed(home: Path, folder: str, *words: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", SCRIPT, *words],
        check=True, capture_output=True, text=True, cwd=home / folder, timeout=60,
        env={**os.environ, "HOME": str(home)},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("folder", "words", "expected"),
    [
        ("ha", ("./bootstrap", "in"), ["invoke"]),
        ("ha", ("./bootstrap", "invoke", "pl"), ["plan"]),
        ("ha", ("bootstrap", "invoke", "plan", "--kernel", "7."), ["7.2", "7.3"]),
        ("ha", ("./bootstrap", "invoke", "plan", "--kernel", "=", "7."), ["7.2", "7.3"]),
        ("ha", ("./bootstrap", "invoke", "shell", "6.1/3.4/non"),
            ["compopt -o nospace", "6.1/3.4/nonlocal-bind/"]),
        ("ha", ("./bootstrap", "invoke", "matrix", "--config", ""), [""]),
        ("ha", ("./bootstrap", "pytest", "x"), [""]),
        ("other", ("~/ha/bootstrap", "invoke", "plan", "--matrix", "f"), ["full"]),
        ("other", ("../ha/bootstrap", "invoke", "pl"), ["plan"]),
        ("other", ("./bootstrap", "in"), [""]),
        ("other", ("../hatester", "plan", "--matrix", "f"), ["full"]),
        ("other", ("~/hatester", "pl"), ["plan"]),
    ],
)  # fmt: skip
def test_bash_completes(
    home: Path, folder: str, words: tuple[str, ...], expected: list[str]
) -> None:
    assert completed(home, folder, *words) == expected
