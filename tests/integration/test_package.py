"""The package: its files, and its commands in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from hatester import __version__
from hatester.util.paths import PROJECT
from tests.factories.project import copy_project

pytest.importorskip("hatchling", reason="./bootstrap installs it")

FILES = ("matrix", "Vagrantfile", "invoke.yaml", "tasks.py")
"""What is not in a package of Python."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the project, with a captured host in it, and unpack it as pip does."""
    folder = tmp_path_factory.mktemp("package")
    project = copy_project(folder / "project")
    (project / "matrix/hosts/lb1").mkdir(parents=True, exist_ok=True)
    (project / "matrix/hosts/lb1.yml").write_text("private")
    (project / "matrix/hosts/lb1/haproxy.cfg").write_text("private")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, check=True, cwd=project, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def hatester(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed package, and not the checkout of the tests, in a folder."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); "
            "from hatester.__main__ import run; run()", *words],
        check=False, capture_output=True, text=True, cwd=folder, timeout=60,
    )  # fmt: skip


def test_the_wheel_has_what_the_checkout_has_and_no_captured_host(site: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    for name in ("hatester", "provision"):
        packed = {path for path in files(site / name) if path.parts[0] != "project"}
        assert packed == files(PROJECT / name)
    shipped = files(site / "hatester/project")
    assert {path.parts[0] for path in shipped} == {*FILES}
    assert {*(PROJECT / "matrix/scenarios").glob("*/scenario.yml")} == {
        PROJECT / path for path in shipped if path.name == "scenario.yml"
    }
    assert "hosts" not in {part for path in shipped for part in path.parts}


def test_its_metadata_name_the_command_and_only_what_it_needs(site: Path) -> None:
    [info] = site.glob("*.dist-info")
    scripts = ConfigParser()
    scripts.read(info / "entry_points.txt")
    assert dict(scripts["console_scripts"]) == {"hatester": "hatester.__main__:run"}
    metadata = (info / "METADATA").read_text()
    assert f"\nVersion: {__version__}\n" in metadata
    assert "Requires-Dist: fabric\n" in metadata
    assert "Requires-Dist: mypy\n" not in metadata


def test_it_lists_and_plans_in_any_folder(site: Path, tmp_path: Path) -> None:
    assert hatester(site, tmp_path, "--version").stdout == f"hatester {__version__}\n"
    listed = hatester(site, tmp_path, "list", "kernels")
    assert listed.returncode == 0, listed.stderr
    assert "6.1 " in listed.stdout
    planned = hatester(site, tmp_path, "plan", "--quiet")
    assert (len(planned.stdout.split()), planned.stderr) == (100, "")
    assert [*tmp_path.iterdir()] == []
    wrong = hatester(site, tmp_path, "plam")
    assert wrong.stderr == (
        "there is no command 'plam'; did you mean plan? Help: hatester --help\n"
    )
    assert "there is no command 'lint'" in hatester(site, tmp_path, "lint").stderr


def test_what_is_made_goes_to_the_current_folder(site: Path, tmp_path: Path) -> None:
    (tmp_path / "matrix/hosts").mkdir(parents=True)
    (tmp_path / "matrix/hosts/lb1.yml").write_text("mine")
    done = hatester(site, tmp_path, "init", "matrix", "mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"copied, and used from now on: {tmp_path}/matrix\n"
        f"new matrix: {tmp_path}/matrix/mine.yml\n"
        "next: hatester plan --matrix mine\n"
    )
    assert (tmp_path / "matrix/hosts/lb1.yml").read_text() == "mine"
    with (tmp_path / "matrix/kernels.yml").open("a") as declared:
        declared.write("  mine:\n    suite: sid\n")
    listed = hatester(site, tmp_path, "list", "kernels")
    assert "mine  suite sid\n" in listed.stdout
    assert hatester(site, tmp_path, "init", "scenario", "mine").stdout.startswith("new scenario: ")


def test_vagrant_takes_its_machines(site: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["vagrant", "status", "--machine-readable"],
        check=False, capture_output=True, text=True, cwd=site / "hatester/project", timeout=120,
        env={**os.environ, "HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "v")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ",6.1,state,not_created" in done.stdout
