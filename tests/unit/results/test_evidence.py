"""What lies beside a cell: believed as it was written, whatever else there may be."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.report.html_cell import story
from hatester.results import schema
from hatester.results.store import Results, begin, find
from hatester.runner.cell import not_measured
from hatester.util import jsonfile
from tests.factories.hostile import examples
from tests.factories.runs import EVIDENCE, HOST, aged, measured
from tests.factories.stored_run import BRIEF, LEFT, OUT, WELL, made, timeline, verdicts


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return made(tmp_path)


def test_a_change_of_any_bit_is_seen(run: Results) -> None:
    data = (run.evidence(run.cells[2]) / "cell.json").read_bytes()
    assert jsonfile.unsealed(data) == run.cells[2]
    for number in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[number // 8] ^= 1 << number % 8
        with pytest.raises(jsonfile.Damaged):
            jsonfile.unsealed(bytes(spoilt))


def test_checksums_are_those_of_sha256sum(run: Results) -> None:
    """As docs/reading-results.md has it."""
    folder = timeline(run).parent
    for file in (run.file, run.folder / "plan.json", folder / "cell.json"):
        lines = file.read_bytes().splitlines(keepends=True)
        command = ["sha256sum"]
        done = subprocess.run(command, input=b"".join(lines[:-2]), capture_output=True, check=True)
        assert json.loads(file.read_text())["sha256"] == done.stdout.split()[0].decode()
    sums = "".join(f"{sum_}  {name}\n" for name, sum_ in run.cells[0]["evidence"].items())
    done = subprocess.run(
        ["sha256sum", "--check"], input=sums.encode(), cwd=folder, capture_output=True, check=True
    )
    assert done.stdout.decode().splitlines() == [
        f"{name}: OK" for name in ("timeline.json", "haproxy.log", "console.log")
    ]


INFINITE = "1e999"
WRONG: list[Any] = [
    None,
    "x",
    -1,
    0,
    1e308,
    INFINITE,
    10**400,
    True,
    [],
    {},
    [[]],
    {"x": 1},
    "\ud800",
    "\0",
]


def nodes(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in JSON, as what has it and where; only the first of those of a list."""
    places = content.items() if isinstance(content, dict) else list(enumerate(content))[:3]
    for place, value in places:
        yield content, place
        if isinstance(value, dict | list):
            yield from nodes(value)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an earlier version, of one cell."""
    run = begin(tmp_path_factory.mktemp("results"), HOST, [OUT])
    run.add(measured(OUT, BRIEF))
    return aged(run).folder


@given(data=st.data())
@examples(0.5)
def test_whatever_a_timeline_without_a_checksum_has_the_run_stays_a_run(
    early: Path, data: st.DataObject
) -> None:
    spoilt = copy.deepcopy(EVIDENCE["silent"] | {"probes": BRIEF["probes"], "failed": None})
    if data.draw(st.booleans()):
        del spoilt["failed"]
    holder, place = data.draw(st.sampled_from(list(nodes(spoilt))))
    holder[place] = data.draw(st.sampled_from(WRONG))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(early, folder, dirs_exist_ok=True)
        found = find(Path(folder), folder)
        timeline(found).write_text(json.dumps(spoilt).replace(f'"{INFINITE}"', INFINITE))
        found.recompute()
        told = story(found, found.cells[0])
        assert told.drawing or told.trouble
        schema.require_fit(json.loads(found.file.read_text()))


@pytest.mark.parametrize("content", ["{}", '{"reloads": 1, "checks": []}', '{"failed": 1}'])
def test_a_timeline_that_cannot_be_judged_is_named_and_its_cell_stays(
    run: Results, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(run)
    timeline(run).write_text(content)
    timeline(run, 1).write_text("[")
    found = find(run.folder.parent, "latest")
    assert found.recompute() == ([], [OUT.id, WELL.id])
    assert verdicts(found) == ["outage", "ok", "error"]
    told = capsys.readouterr().err
    assert re.search(rf"{re.escape(str(timeline(run)))} (cannot be judged|is no cell)", told)
    assert f"{timeline(run, 1)} is no JSON" in told


def test_a_cell_whose_timeline_is_missing_or_damaged_is_left_until_it_is_measured_again(
    run: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    timeline(run).unlink()
    timeline(run, 1).write_text("{}")
    found = find(run.folder.parent, "latest")
    assert [cell for cell, _ in found.left()] == [LEFT]
    assert [entry["id"] for entry, _ in found.unproven()] == [OUT.id, WELL.id]
    with found.measuring():
        told = capsys.readouterr().err
        assert f"{timeline(run)} is not there" in told
        assert f"{timeline(run, 1)} is not as it was written; it was set aside" in told
        found.add(measured(OUT, BRIEF))
        found.add(not_measured(WELL, 1, "no image"))
        assert [cell for cell, _ in found.left()] == [WELL, LEFT]
    assert verdicts(found) == ["outage", "ok", "error"]
