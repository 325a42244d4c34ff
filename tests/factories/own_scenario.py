"""A scenario of a test's own, whose steps are written by the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hatester.matrix.scenario import Scenario, load_scenario
from hatester.util.paths import MATRIX

SCENARIOS = MATRIX / "scenarios"
HEAD = "description: x\naddresses: [192.168.42.43/32, 192.168.42.44/32, 192.168.42.45/32]\nsteps:\n"
STARTED = HEAD + "- start: with\n"
V4 = ["192.168.42.43:80", "192.168.42.44:80", "192.168.42.45:80", "*:81"]
V6 = ["fd00:42::43:80", "fd00:42::44:80", "fd00:42::45:80", "*:81"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a scenario in which .44 is tied to dummy0, and whose steps are yet to be written."""
    folder = Path(shutil.copytree(SCENARIOS / "lost-address", tmp_path / "mine"))
    for name in ("with.cfg", "without.cfg"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(".44:80", ".44:80 interface dummy0"))
    return folder


def write(folder: Path, content: str) -> Scenario:
    """Write the description of a scenario, and return the scenario."""
    (folder / "scenario.yml").write_text(content)
    return load_scenario(folder)
