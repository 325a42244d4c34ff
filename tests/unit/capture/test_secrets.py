"""No planted secret survives a capture, whole or in part."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from hatester.capture.capture import capture
from hatester.capture.captured_host import load_host, report, write_host
from tests.factories.planted import EXPECTED, FOLDER, PlantedHost, Planter

ROUNDS = int(os.environ.get("HATESTER_PLANTED_ROUNDS", "1"))
"""How often each configuration is planted."""
SEED = int(os.environ.get("HATESTER_SEED", random.randrange(2**32)))


def written(folder: Path, planter: Planter, text: str, env: dict[str, str]) -> list[str]:
    """Return all that a capture writes and prints: names of files, their bytes, the report."""
    captured = capture(PlantedHost(planter, text, env))
    write_host(folder, "lb1", "lb1", captured.host, captured.files)
    assert load_host(folder, "lb1") == captured.host
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [
        report(captured.host),
        *(file.read_text() for file in files),
        *(str(file.relative_to(folder)) for file in files),
    ]


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*.cfg")))
def test_no_planted_secret_survives(tmp_path: Path, name: str) -> None:
    text = (FOLDER / name).read_text()
    env = dict(EXPECTED.get(name, {}).get("env", {}))
    for number in range(ROUNDS):
        planter = Planter(SEED + number)
        planted = planter.accepted(text) if number % 4 == 3 else planter.anywhere(text)
        texts = written(tmp_path, planter, planted, env)
        assert len(planter.secrets) > 20
        assert planter.survivors(texts) == [], f"seed {SEED + number}"
        assert not planter.survivors(["none"])


def test_a_secret_that_survives_is_found() -> None:
    planter = Planter(1)
    secret = planter.secret()
    assert planter.survivors([f"x {secret[4:12].upper()} y"]) == [secret]
