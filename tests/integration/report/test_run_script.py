"""The script of a reproducer, checked by shellcheck."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hatester.matrix.declarations import METHODS, load_matrix
from hatester.matrix.scenario import load_scenario
from hatester.report.run_script import Script
from hatester.util.paths import MATRIX

SCENARIOS = sorted(each.name for each in (MATRIX / "scenarios").iterdir())


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    settings = load_matrix(MATRIX).settings
    for scenario in SCENARIOS:
        loaded = load_scenario(MATRIX / "scenarios" / scenario)
        for method in METHODS:
            for name in ("plain", "no-fd-passing", "nonlocal-bind"):
                labels = [bind.label for bind in loaded.binds]
                script = Script("id", loaded, settings[name], method, labels, {})
                file = tmp_path / f"{scenario}-{method}-{name}.sh"
                file.write_text(script.text)
    files = sorted(tmp_path.iterdir())
    done = subprocess.run(
        ["shellcheck", *files], check=False, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "")
