"""One cell: measured in its guest, judged, and written down as `run.json` has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hatester.analysis import verdict
from hatester.analysis.model import Result
from hatester.analysis.verdict import judged, unjudged
from hatester.artifacts.rootfs import Tree
from hatester.guests.guest import Guest
from hatester.matrix.plan import Cell
from hatester.runner import protocol
from hatester.runner.protocol import Evidence, Order
from hatester.util.errors import MeasurementError


def run_cell(
    guest: Guest,
    cell: Cell,
    repetition: int,
    order: Order,
    tree: Tree,
    at_step: Callable[[int], None],
) -> Result:
    """Measure a cell, telling the number of each step that is next. What goes wrong is the
    result's `error`.

    Raises Tainted when the guest bears traces of earlier cells.
    """
    started = time.monotonic()
    evidence = Evidence()
    console_before = len(guest.console())
    try:
        protocol.measure(guest, order, evidence, at_step)
        _require_versions(evidence, guest.image.kit.release, tree.version)
    except MeasurementError as error:
        evidence.timeline["failed"] = str(error)
    entry = {
        **_head(cell, repetition),
        "kernel": {
            "name": cell.kernel,
            "release": evidence.release,
            "version": guest.image.kit.version,
            "accelerator": guest.accelerator,
        },
        "haproxy": {
            "name": cell.build,
            "version": evidence.haproxy_version,
            "package": tree.version,
            "tree": tree.serial,
        },
        "clock": guest.engine.clock,
        "cpus": guest.engine.cpus,
        "seconds": round(time.monotonic() - started, 3),
        **judged(evidence.timeline),
    }
    console = guest.console()[console_before:]
    return Result(entry, evidence.timeline, console)


def not_measured(cell: Cell, repetition: int, reason: str, console: str = "") -> Result:
    """The result of a cell that could not even begin."""
    entry = {
        **_head(cell, repetition),
        "kernel": {"name": cell.kernel, "release": None},
        "haproxy": {"name": cell.build, "version": None},
        "clock": None,
        "cpus": None,
        "seconds": 0.0,
        **unjudged(reason, []),
    }
    return Result(entry, console=console)


def _head(cell: Cell, repetition: int) -> dict[str, Any]:
    return {
        "id": cell.id,
        "repetition": repetition,
        "setting": cell.setting,
        "scenario": cell.scenario,
        "method": cell.method,
    }


def _require_versions(evidence: Evidence, release: str, version: str) -> None:
    """Raise MeasurementError unless the kernel and the HAProxy are the ones that were asked for."""
    if evidence.release != release:
        raise MeasurementError(f"the guest runs Linux {evidence.release}, not {release}")
    said = evidence.haproxy_version
    if said is None or not verdict.is_same_version(said, version):
        raise MeasurementError(f"the guest's HAProxy is {said}, not {version}")
