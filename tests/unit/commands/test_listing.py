"""What there is, as `invoke list` shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatester.capture.capture import capture
from hatester.capture.captured_host import write_host
from hatester.commands.listing import KINDS
from tests.factories import stored_run
from tests.factories.production_host import MadeUpHost
from tests.factories.project import call, copy_matrix

GOLDEN = Path(__file__).parents[1] / "resources/list.txt"
KERNELS = """\
kernels:
  "6.1":
    description: of Debian 12
    suite: bookworm
    version: "6.1"
  mine:
    packages: [/build/linux-image.deb, /build/linux-modules.deb]
  theirs:
    urls:
      - {url: "https://example.org/linux.deb", sha256: SUM}
""".replace("SUM", "0" * 64)
BUILDS = """\
builds:
  "2.2":
    description: of Debian 11
    suite: bullseye
  old:
    image: docker://haproxy:1.8.26
"""
MATRIX = """\
description: one scenario
kernels: ["6.1", mine]
haproxy: ["2.2"]
settings: [plain]
scenarios: [hitless]
methods: [signal]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a small matrix, a host and a run, and one scenario and one matrix that are damaged."""
    matrix = copy_matrix(tmp_path) / "matrix"
    for name in ("full", "default"):
        (matrix / f"{name}.yml").unlink()
    for scenario in matrix.glob("scenarios/*"):
        if scenario.name not in ("hitless", "recovery"):
            scenario.rename(tmp_path / scenario.name)
    (matrix / "kernels.yml").write_text(KERNELS)
    (matrix / "haproxy.yml").write_text(BUILDS)
    (matrix / "default.yml").write_text(MATRIX)
    (matrix / "damaged.yml").write_text("kernels: []\n")
    (matrix / "scenarios/recovery/scenario.yml").write_text("steps: []\n")
    captured = capture(MadeUpHost())
    write_host(matrix / "hosts", "lb1", "lb1.example.org", captured.host, captured.files)
    stored_run.made(tmp_path / "results")
    return tmp_path


def test_all_that_there_is_is_listed_as_in_the_golden_file(folder: Path) -> None:
    done = call("list", "all", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    [run] = [path.name for path in folder.glob("results/2*")]
    assert done.stdout.replace(run, "RUN").replace(str(folder), "/project") == GOLDEN.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_json_has_the_same_names_and_descriptions(folder: Path, kind: str) -> None:
    rows = json.loads(call("list", kind, "--json", folder=folder).stdout)
    lines = call("list", kind, folder=folder).stdout.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [row["name"] for row in rows]
    assert all(line.endswith(row["description"]) for line, row in zip(lines, rows, strict=True))
    assert json.loads(call("list", "all", "--json", folder=folder).stdout)[kind] == rows


def test_a_kind_of_which_there_is_nothing_is_an_empty_list(tmp_path: Path) -> None:
    folder = copy_matrix(tmp_path)
    assert call("list", "runs", folder=folder).stdout == "none\n"
    assert call("list", "hosts", "--json", folder=folder).stdout == "[]\n"


def test_each_shipped_name_has_a_description() -> None:
    listed = json.loads(call("list", "all", "--json").stdout)
    for kind in ("kernels", "builds", "settings", "scenarios", "matrices"):
        assert [row for row in listed[kind] if not row["description"]] == []


@pytest.mark.parametrize("old", ["kernels", "versions", "images", "builds"])
def test_commands_of_earlier_names_still_work(old: str) -> None:
    assert call(old, "--help").returncode == 0
