"""One cell: measured in its guest, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hatester.analysis.cell_verdict import judge, unmeasured
from hatester.analysis.model import CellResult, GuestBuild, GuestKernel, Judgement, Measurement
from hatester.artifacts.disk import Tree
from hatester.guests.guest import Guest
from hatester.matrix.plan import Cell
from hatester.runner import guest_protocol
from hatester.runner.guest_plan import Order, guest_plan
from hatester.runner.guest_protocol import Record
from hatester.util.errors import MeasurementError
from hatester.util.versions import is_same_version


def run_cell(
    guest: Guest,
    cell: Cell,
    repetition: int,
    order: Order,
    tree: Tree,
    at_step: Callable[[int], None],
) -> Measurement:
    """Measure a cell; `at_step` gets the number of each step that is next.

    A failure becomes the `error` of the result. Raises TaintedGuest when the guest bears traces of
    earlier cells.
    """
    started = time.monotonic()
    plan = guest_plan(order, guest.engine.clock)
    record = Record.of(plan, order, guest.engine.clock)
    begun = guest.console.position()
    try:
        guest_protocol.measure(guest, plan, order.scenario.binds, record, at_step)
        _require_versions(record, guest.image.kit.release, tree.version)
    except MeasurementError as error:
        record.fail(str(error))
    measurement = {
        "seed": order.seed,
        "kernel": GuestKernel(
            name=cell.kernel,
            release=record.release,
            version=guest.image.kit.version,
            accelerator="kvm" if guest.accelerator == "kvm" else "tcg",
        ),
        "haproxy": GuestBuild(
            name=cell.build, version=record.haproxy_version, package=tree.version, tree=tree.serial
        ),
        "clock": guest.engine.clock,
        "cpus": guest.engine.cpus,
        "seconds": round(time.monotonic() - started, 3),
    }
    result = _result(cell, repetition, measurement, judge(record.timeline))
    return Measurement(result, record.timeline, guest.console.text(begun))


def not_measured(
    cell: Cell, repetition: int, reason: str, console: str = "", seed: int = 0
) -> Measurement:
    """Return the result of a cell that could not even begin."""
    measurement = {
        "seed": seed,
        "kernel": GuestKernel(name=cell.kernel, release=None),
        "haproxy": GuestBuild(name=cell.build, version=None),
        "clock": None,
        "cpus": None,
        "seconds": 0.0,
    }
    return Measurement(_result(cell, repetition, measurement, unmeasured(reason)), console=console)


def _result(
    cell: Cell, repetition: int, measurement: dict[str, Any], judgement: Judgement
) -> CellResult:
    return CellResult.model_validate(
        {
            "id": cell.id,
            "repetition": repetition,
            "setting": cell.setting,
            "scenario": cell.scenario,
            "method": cell.method,
            **measurement,
            **dict(judgement),
        }
    )


def _require_versions(record: Record, release: str, version: str) -> None:
    """Raise MeasurementError unless the kernel and the HAProxy are the ones that were asked for."""
    if record.release != release:
        raise MeasurementError(f"the guest runs Linux {record.release}, not {release}")
    said = record.haproxy_version
    if said is None or not is_same_version(said, version):
        raise MeasurementError(f"the guest's HAProxy is {said}, not {version}")
