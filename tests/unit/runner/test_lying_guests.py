"""Runs whose guests lie, stall, break lines, flood and vanish: the run's own code, no machine.

Each run has a seed of its own, which is printed when it fails; `--faults` tries many.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hatester.analysis.model import RunOrigin
from hatester.guests import messages
from hatester.guests.vagrant import Vagrant
from hatester.matrix.declarations import load_matrix
from hatester.matrix.plan import Wanted, make_plan
from hatester.results.store import begin
from hatester.runner import guest_protocol, guest_verification, run
from hatester.runner.run import Run, RunOptions
from hatester.util import process
from hatester.util.files import remove
from hatester.util.paths import MATRIX
from hatester.util.progress import Progress
from tests.factories.lies import LIES, VAGUE
from tests.factories.simulated_guests import Lie, World

MESSAGE_BYTES = 1 << 18
"""Smaller than in earnest, so that a flood takes no time."""
SECONDS, MANY_SECONDS = 1.0, 60.0
ALL = make_plan(
    load_matrix(MATRIX),
    Wanted(["6.1", "5.10"], ["3.0"], ["plain"], ["certificate-renewed"], ["signal", "cli"]),
)
CLIENTS = RunOrigin(clients=("keep-alive", "sessions=1", "load=8"))
"""Beside those by TLS that the scenario has: all kinds but `sparse`."""
PLAN = replace(ALL, cells=ALL.cells[:3])
MATERIALS = SimpleNamespace(
    image=lambda _: None,
    tree=lambda _: SimpleNamespace(version="3.0.9", serial="0123456789abcdef"),
    those_of=dict.fromkeys,
    keys=None,
)
Cells = dict[str, dict[str, Any]]


def key(id_: str) -> str:
    """Return how a simulated guest knows a cell."""
    kernel, build, _, _, method = id_.split("/")
    return f"{kernel}/{build}/{method}"


KEYS = [key(cell.id) for cell in PLAN.cells]


class Simulation:
    """Runs of the same cells in simulated guests, one after another."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = monkeypatch
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.setattr(Vagrant, "destroy", lambda *_, **__: None)
        # There are none of machines, and to look through all of them takes most of the time.
        monkeypatch.setattr(process, "others", list)
        monkeypatch.setattr(os, "fsync", lambda _: None)
        monkeypatch.setattr(messages, "MESSAGE_BYTES", MESSAGE_BYTES)
        monkeypatch.setattr(messages, "SEQUENCE_BYTES", 2 * MESSAGE_BYTES)
        no_ports: contextlib.nullcontext[Any] = contextlib.nullcontext({})
        monkeypatch.setattr(
            guest_protocol, "qmp", SimpleNamespace(forward_ports=lambda *_: no_ports)
        )

    def run(self, seed: int, lies: dict[str, Lie], jobs: int) -> tuple[Cells, World]:
        """Return the cells of a run by their keys, and the world in which it was."""
        world = World(seed, lies)
        starter = SimpleNamespace(start=world.start)
        self._patch.setattr(run, "Starter", lambda *_: starter)
        self._patch.setattr(run, "ThreadPoolExecutor", world.scheduler.pool)
        for module in (messages, guest_verification):
            self._patch.setattr(module, "time", world.scheduler)
        results = begin(
            self._folder / "results", {}, PLAN.cells,
            seeds=[seed], probe_interval=0.5, origin=CLIENTS,
        )  # fmt: skip
        try:
            Run(PLAN, RunOptions(jobs=jobs), cast(Any, MATERIALS), results, Progress()).run()
            cells = json.loads(results.file.read_text())["cells"]
            assert sorted(cell["id"] for cell in cells) == sorted(c.id for c in PLAN.cells)
            sizes = [file.stat().st_size for file in results.folder.rglob("*") if file.is_file()]
            assert sum(sizes) < (2 * len(cells) + 1) * MESSAGE_BYTES
        finally:
            remove(results.folder)
        assert all(each.received <= 2 * MESSAGE_BYTES * len(KEYS) for each in world.channels)
        return {key(cell["id"]): cell for cell in cells}, world


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with pytest.MonkeyPatch.context() as patch:
        yield Simulation(tmp_path_factory.mktemp("simulation"), patch)


@pytest.fixture(scope="module")
def verdicts(simulation: Simulation) -> dict[str, str]:
    """Return the verdicts where nobody lies."""
    cells, _ = simulation.run(0, {}, jobs=1)
    assert {cell["error"] for cell in cells.values()} == {None}
    return {name: cell["verdict"] for name, cell in cells.items()}


def seeds(config: pytest.Config) -> Iterator[int]:
    """Yield new seeds for a while."""
    end = time.monotonic() + (MANY_SECONDS if config.getoption("--faults") else SECONDS)
    while time.monotonic() < end:
        yield secrets.randbits(32)


def judge_liar(cell: dict[str, Any], reason: str | None) -> None:
    """Require what becomes of a cell whose guest lied."""
    text = f"{cell['error']}"
    assert "Traceback" not in text
    assert len(text) < 5000
    assert all(each.isprintable() for line in text.splitlines() for each in line)
    if reason is not None:
        assert cell["verdict"] == "error"
        assert re.search(reason, text), text


def test_honest_guests_have_verdicts(verdicts: dict[str, str]) -> None:
    assert {*verdicts.values()} <= {"ok", "outage", "down"}
    assert len({*verdicts.values()}) > 1


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_named(name: str, simulation: Simulation, verdicts: dict[str, str]) -> None:
    lie, reason = LIES[name]
    seed = secrets.randbits(32)
    with labelled(f"seed {seed}"):
        cells, _ = simulation.run(seed, {KEYS[0]: lie}, jobs=1)
        judge_liar(cells.pop(KEYS[0]), reason)
        assert {name: cell["verdict"] for name, cell in cells.items()} == {
            name: verdict for name, verdict in verdicts.items() if name in cells
        }


def test_liars_cost_nobody_else(
    simulation: Simulation, verdicts: dict[str, str], request: pytest.FixtureRequest
) -> None:
    count = 0
    for seed in seeds(request.config):
        choice = random.Random(seed)
        named = {**LIES, **{name: (lie, None) for name, lie in VAGUE.items()}}
        chosen = {
            choice.choice([each for each in KEYS if each.startswith(f"{kernel}/")]): choice.choice(
                sorted(named)
            )
            for kernel in PLAN.kernels
        }
        with labelled(f"seed {seed}: {chosen}"):
            lies = {cell: named[name][0] for cell, name in chosen.items()}
            cells, _ = simulation.run(seed, lies, jobs=choice.choice([1, 2, 3]))
            for name, cell in cells.items():
                if name in chosen:
                    judge_liar(cell, named[chosen[name]][1])
                else:
                    assert cell["verdict"] == verdicts[name]
        count += 1
    print(f"{count} runs")


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Have any failure name what was tried."""
    try:
        yield
    except BaseException as error:
        raise AssertionError(f"{label}: {error!r}") from error
