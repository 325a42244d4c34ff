"""The command that measures a cell again: with the flags that the run had."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hatester.analysis.model import RunOrigin
from hatester.matrix.plan import Cell
from hatester.results.repeat_command import repeat_command
from hatester.results.store import begin, find
from hatester.runner.cell import not_measured

CELL = Cell("6.1", "2.2", "plain", "lost-address", "signal")


def test_clients_of_flags_are_there_when_it_is_measured_again(tmp_path: Path) -> None:
    origin = RunOrigin(clients=("sessions=4", "load=500"))
    results = begin(tmp_path, {}, [CELL], origin=origin)
    results.add(not_measured(CELL, 1, "no image"))
    found = find(tmp_path, "latest")
    assert found.run.clients == origin.clients
    assert " --client sessions=4 --load 500/s " in repeat_command(found, found.cells[0])


def test_a_kernel_that_no_file_declares_is_measured_again_by_what_led_to_it(tmp_path: Path) -> None:
    results = begin(tmp_path, {}, [CELL], origin=RunOrigin(kernels={CELL.kernel: "trixie:6.16.*"}))
    results.add(not_measured(CELL, 1, "no image"))
    command = repeat_command(find(tmp_path, "latest"), results.cells[0])
    assert f"--kernel 'trixie:6.16.*' --haproxy {CELL.build} " in command


def test_a_build_that_the_flag_described_is_described_again(tmp_path: Path) -> None:
    given = {"haproxy-1.8.26": "docker://haproxy:1.8.26"}
    cell = dataclasses.replace(CELL, build="haproxy-1.8.26")
    results = begin(tmp_path, {}, [cell], origin=RunOrigin(builds=given))
    found = find(tmp_path, results.folder.name)
    assert found.run.builds == given
    command = repeat_command(found, not_measured(cell, 1, "").cell)
    assert "--haproxy docker://haproxy:1.8.26 " in command
