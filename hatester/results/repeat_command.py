"""The command that measures a cell of a stored run again."""

from __future__ import annotations

import shlex
from pathlib import Path

from hatester.analysis.model import CellResult, UserConfiguration
from hatester.matrix.plan import FLAGS
from hatester.matrix.scenario import AFTER, BEFORE, ROOT
from hatester.results.store import Results
from hatester.util.paths import COMMAND


def repeat_command(results: Results, cell: CellResult) -> str:
    """Return the command that measures a cell again, as a line for a shell."""
    run = results.run
    words = [*COMMAND.split(), "matrix"]
    names = dict(zip(FLAGS.values(), cell.id.split("/"), strict=True))
    if run.captured:
        words += ["--host", run.captured, "--only", cell.id]
        names.clear()
    elif results.scenarios.exists():
        scenario = results.scenarios / names.pop(FLAGS["scenarios"])
        words += [*_configuration(scenario, run.configuration), "--only", cell.id]
    described = {FLAGS["kernels"]: run.kernels, FLAGS["haproxy"]: run.builds}
    for flag, name in names.items():
        words += [flag, described.get(flag, {}).get(name, name)]
    if run.probe_interval:
        words += ["--probe-interval", f"{run.probe_interval:g}s"]
    for client in run.clients:
        rate = client.removeprefix("load=")
        words += ["--client", client] if rate == client else ["--load", f"{rate}/s"]
    words += ["--seed", str(cell.seed), "--clock", cell.clock or run.clock]
    return shlex.join(words)


def _configuration(scenario: Path, configuration: UserConfiguration | None) -> list[str]:
    """Return the flags for the configurations of a scenario's folder, with the files they need."""
    words = ["--config", str(scenario / f"{BEFORE}.cfg"), "--after", str(scenario / f"{AFTER}.cfg")]
    root = scenario / ROOT
    for file in sorted(each for each in root.rglob("*") if each.is_file()):
        words += ["--file", f"/{file.relative_to(root).as_posix()}={file}"]
    for name, value in (configuration.env if configuration else {}).items():
        words += ["--env", f"{name}={value}"]
    return words
