"""One cell: measured in its guest, judged, and written down as `run.json` has it."""

from __future__ import annotations

import json
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
from hatester.runner.guest_plan import Order
from hatester.runner.protocol import Record
from hatester.util.errors import MeasurementError
from provision.guest.protocol import encode


def run_cell(
    guest: Guest,
    cell: Cell,
    repetition: int,
    order: Order,
    tree: Tree,
    at_step: Callable[[int], None],
) -> Result:
    """Measure a cell; `at_step` gets the number of each next step.

    What goes wrong is the result's `error`. Raises TaintedGuest for a guest that
    is not clean.
    """
    started = time.monotonic()
    record = Record.of(order, guest.engine.clock)
    console_before = len(guest.console())
    try:
        protocol.measure(guest, order, record, at_step)
        _require_versions(record, guest.image.kit.release, tree.version)
    except MeasurementError as error:
        record.fail(str(error))
    timeline = json.loads(encode(record.timeline))
    entry = {
        **_head(cell, repetition),
        "kernel": {
            "name": cell.kernel,
            "release": record.release,
            "version": guest.image.kit.version,
            "accelerator": guest.accelerator,
        },
        "haproxy": {
            "name": cell.build,
            "version": record.haproxy_version,
            "package": tree.version,
            "tree": tree.serial,
        },
        "clock": guest.engine.clock,
        "cpus": guest.engine.cpus,
        "seconds": round(time.monotonic() - started, 3),
        **judged(timeline),
    }
    console = guest.console()[console_before:]
    return Result(entry, timeline, console)


def not_measured(cell: Cell, repetition: int, reason: str, console: str = "") -> Result:
    """Return the result of a cell that could not begin."""
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


def _require_versions(record: Record, release: str, version: str) -> None:
    """Raise MeasurementError unless the kernel and the HAProxy are the ones that were asked for."""
    if record.release != release:
        raise MeasurementError(f"the guest runs Linux {record.release}, not {release}")
    said = record.haproxy_version
    if said is None or not verdict.is_same_version(said, version):
        raise MeasurementError(f"the guest's HAProxy is {said}, not {version}")
