"""The command line of hatester, and a copy of the project to use it in."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hatester.cli import completion
from hatester.cli.program import Program
from hatester.commands import artifacts, init, listing, plan, runs
from hatester.util.paths import PROJECT

INVOKE = (sys.executable, "-m", "hatester")
"""`./bootstrap invoke`, which has made the environment already."""
NOWHERE = "http://127.0.0.1:9/debian"
"""A mirror that cannot be reached."""
MARK = "HATESTER_TESTED"
"""In the environment of all that a copy of the project has started: the folder of that copy."""


def invoke(
    *words: str, folder: Path = PROJECT, seconds: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `./bootstrap invoke` in the project or a copy of it: a process of its own."""
    return subprocess.run(
        [*INVOKE, *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=seconds,
        env={**os.environ, MARK: str(folder), **env},
    )


def call(
    *words: str, folder: Path = PROJECT, root: Path = PROJECT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the same in this process; return its exit code and output.

    `folder` has the matrix and the results, `root` the commands and their invoke.yaml.
    """
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        for name, value in env.items():
            patch.setenv(name, value)
        places = {
            "MATRIX": "matrix",
            "OWN_MATRIX": "matrix",
            "HOSTS": "matrix/hosts",
            "RESULTS": "results",
        }
        for module in (artifacts, init, listing, plan, runs, completion):
            for name, place in places.items():
                if hasattr(module, name):
                    patch.setattr(module, name, folder / place)
        patch.chdir(folder)
        try:
            Program().run(["invoke", "--search-root", str(root), *words])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


def copy_matrix(folder: Path) -> Path:
    """Copy the matrix of the project into a folder, for `call`, and return the folder."""
    shutil.copytree(PROJECT / "matrix", folder / "matrix", copy_function=shutil.copyfile)
    return folder


def copy_project(folder: Path) -> Path:
    """Copy the project without its results and machines, and return the copy."""
    made = shutil.ignore_patterns(".*", "__pycache__")

    def ignored(parent: str, names: list[str]) -> set[str]:
        # There is a package of that name as well.
        return made(parent, names) | ({"results"} if Path(parent) == PROJECT else set())

    return Path(shutil.copytree(PROJECT, folder, ignore=ignored))
