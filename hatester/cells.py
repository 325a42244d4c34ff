"""One cell: measured in its guest, judged, and written down as `run.json` has it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from hatester import sequence, verdict
from hatester.errors import MeasurementError
from hatester.guests import Guest
from hatester.plan import Cell, Plan
from hatester.sequence import Evidence


@dataclass(frozen=True)
class Result:
    """A cell's entry in `run.json`, and the logs that lie beside it."""

    entry: dict[str, Any]
    haproxy_log: str = ""
    console: str = ""


def run_cell(guest: Guest, plan: Plan, cell: Cell, package_version: str) -> Result:
    """Measure a cell in a clean guest. What goes wrong is the result's `error`."""
    started = time.monotonic()
    evidence = Evidence()
    console_before = len(guest.vagrant.console(guest.name))
    try:
        traces = guest.traces()
        if traces:
            guest.restore()
        setting = plan.matrix.settings[cell.setting]
        sequence.measure(guest, cell.build, setting, plan.scenarios[cell.scenario], evidence)
        _require_versions(evidence, guest.kit.release, package_version)
        found = verdict.judge(evidence.checks, evidence.reloads)
    except MeasurementError as error:
        found = verdict.Verdict("error", str(error))
    entry = {
        **_head(cell),
        "kernel": {
            "name": cell.kernel,
            "release": evidence.release,
            "version": guest.kit.version,
            "accelerator": guest.accelerator,
        },
        "haproxy": {
            "name": cell.build,
            "version": evidence.haproxy_version,
            "package": package_version,
        },
        "verdict": found.name,
        "error": found.explanation if found.name == "error" else None,
        "explanation": found.explanation,
        "seconds": round(time.monotonic() - started, 3),
        "checks": evidence.checks,
        "reloads": evidence.reloads,
    }
    console = guest.vagrant.console(guest.name)[console_before:]
    return Result(entry, evidence.log, console)


def not_measured(cell: Cell, reason: str, console: str = "") -> Result:
    """The result of a cell that could not even begin."""
    entry = {
        **_head(cell),
        "kernel": {"name": cell.kernel, "release": None},
        "haproxy": {"name": cell.build, "version": None},
        "verdict": "error",
        "error": reason,
        "explanation": reason,
        "seconds": 0.0,
        "checks": [],
        "reloads": [],
    }
    return Result(entry, console=console)


def _head(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "setting": cell.setting,
        "scenario": cell.scenario,
        "method": cell.method,
        # Whether HAProxy claimed success over a dead address: not measured by checks alone.
        "silent": None,
    }


def _require_versions(evidence: Evidence, release: str, package_version: str) -> None:
    """Raise MeasurementError unless the kernel and the HAProxy are the ones that were asked for."""
    if evidence.release != release:
        raise MeasurementError(f"the guest runs Linux {evidence.release}, not {release}")
    said = evidence.haproxy_version
    if said is None or not verdict.is_same_version(said, package_version):
        raise MeasurementError(f"the guest's HAProxy is {said}, not {package_version}")
