"""Shards and merged runs on the command line."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hatester.cli.program import NOT_MEASURED, NOT_MET
from hatester.commands.runs import conclude
from hatester.results.store import Results, find
from tests.factories.project import call, copy_matrix
from tests.factories.shards import CELLS, KEYS, NEVER, make_run, measurement

FLAGS = ("--kernel", "5.10", "--kernel", "6.1", "--scenario", "lost-address")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_matrix(tmp_path)


def shard(folder: Path, name: str, missing: tuple[str, int] | None = None) -> Results:
    """Return a run of a shard without errors."""
    run = make_run(folder / f"shard-{name[0]}", {*KEYS} - {NEVER, missing}, shard=name)
    if (NEVER[0], NEVER[1]) in {(cell.id, number) for cell, number in run.left()}:
        run.add(measurement(NEVER))
        run.finish()
    return run


def folders(*runs: Results) -> list[str]:
    return [str(run.folder) for run in runs]


def test_all_shards_make_a_run_like_any(folder: Path) -> None:
    parts = [shard(folder, name) for name in ("1/2", "2/2")]
    done = call("merge", *folders(*parts), folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lost-address by signal, plain\n\nLinux    HAProxy 2.2    HAProxy 3.0" in done.stdout
    run = find(folder / "results", "latest")
    assert [cell.key for cell in run.cells] == KEYS
    page = (run.folder / "report.html").read_text()
    assert f"<dt>Merged from</dt><dd>{parts[0].run.run}, {parts[1].run.run}</dd>" in page
    assert len(ET.parse(run.folder / "junit.xml").findall(".//testcase")) == len(KEYS)
    assert call("report", "latest", folder=folder).returncode == 0
    assert call("compare", str(parts[0].folder), "latest", folder=folder).returncode == 0
    exported = call("export", CELLS[0].id, str(folder / "out"), folder=folder)
    assert (exported.returncode, exported.stderr) == (0, "")
    assert f"{run.folder.name}  8 cells: " in call("list", "runs", folder=folder).stdout


def test_what_no_shard_has_is_left_for_resume(folder: Path) -> None:
    parts = [shard(folder, "1/2"), shard(folder, "2/2", missing=KEYS[-1])]
    done = call("merge", *folders(*parts), folder=folder)
    assert done.returncode == NOT_MEASURED
    rest = "./bootstrap invoke matrix --resume measures the rest."
    assert done.stderr == f"7 of 8 cells were measured; {rest}\n"
    assert "7 of 8 cells were measured." in done.stdout
    resumed = call("matrix", "--resume", "--dry-run", folder=folder)
    assert (resumed.returncode, resumed.stdout) == (0, f"{KEYS[-1][0]}\n")


def test_a_merged_run_is_held_against_an_expectation(folder: Path) -> None:
    parts = folders(*[shard(folder, name) for name in ("1/2", "2/2")])
    (folder / "ok.yml").write_text("'*': ok\n")
    words = ("merge", "--expect", str(folder / "ok.yml"), *parts)
    assert call(*words, folder=folder).returncode == NOT_MET
    # The newest run is the earlier one still.
    assert call("merge", *parts, "--expect", "latest", folder=folder).returncode == 0


def test_a_shard_lacks_only_what_is_its_own(folder: Path) -> None:
    run = shard(folder, "1/2", missing=KEYS[1])
    done = call("report", str(run.folder), folder=folder)
    assert "3 of 4 cells were measured." in done.stdout
    cases = ET.parse(run.folder / "junit.xml").findall(".//testcase[skipped]")
    assert [case.get("name") for case in cases] == [KEYS[1][0]]
    page = (run.folder / "report.html").read_text()
    assert "<dt>Shard</dt><dd>1/2</dd>" in page
    assert CELLS[-1].id not in page


def test_a_shard_without_cells_is_well(folder: Path) -> None:
    run = shard(folder, "1/9")
    assert run.run.tasks == []
    conclude(run, None)
    done = call("report", str(run.folder), folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert ET.parse(run.folder / "junit.xml").findall(".//error") == []


def test_lists_of_runs_name_the_shard(folder: Path) -> None:
    run = make_run(folder / "results", KEYS[1:], shard="1/2")
    listed = call("list", "runs", folder=folder).stdout
    assert f"{run.folder.name}  shard 1/2: 3 of 4 cells were measured: " in listed
    cleaned = call("clean", "--part", "results", "--dry-run", "--older-than", "0", folder=folder)
    assert "3 of 8 cells, shard 1/2" in cleaned.stdout


def test_an_expectation_about_other_shards_does_not_fail_a_shard(folder: Path) -> None:
    (folder / "other.yml").write_text("'6.1/*': ok\n")
    words = ("matrix", "--dry-run", *FLAGS, "--expect", str(folder / "other.yml"))
    assert call(*words, "--shard", "1/2", folder=folder).returncode == 0


def test_shards_divide_the_plan(folder: Path) -> None:
    whole = call("plan", *FLAGS, folder=folder).stdout.splitlines()
    parts = [call("plan", *FLAGS, "--shard", f"{at}/2", folder=folder) for at in (1, 2)]
    assert [part.returncode for part in parts] == [0, 0]
    assert [line for part in parts for line in part.stdout.splitlines()] == whole
    assert all(part.stderr.startswith("10 cells in 1 guest") for part in parts)


def test_a_dry_run_divides_seeds_as_well(folder: Path) -> None:
    words = ("matrix", "--dry-run", *FLAGS, "--repeat", "2", "--shard", "1/4")
    done = call(*words, folder=folder)
    assert len(done.stdout.splitlines()) == 10
    assert done.stderr.startswith("10 cells in 1 guest")


def test_a_plan_smaller_than_the_shards_leaves_one_empty(folder: Path) -> None:
    done = call("plan", "--only", CELLS[0].id, "--shard", "1/2", folder=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no cells\n")
