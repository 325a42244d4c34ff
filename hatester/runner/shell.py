"""A shell in a guest, at a step of a cell."""

from __future__ import annotations

import logging
import os
import subprocess

from hatester.artifacts.builder import Workshop
from hatester.guests.checkpoint import single_guest
from hatester.guests.guest import build_root
from hatester.guests.host_capabilities import choose_engine
from hatester.matrix.plan import Cell, Plan
from hatester.runner.guest_plan import Order
from hatester.runner.guest_protocol import TaintedGuest, held
from hatester.util.errors import MeasurementError
from hatester.util.paths import PROJECT
from hatester.util.progress import Progress

log = logging.getLogger(__name__)


def open_shell(plan: Plan, shop: Workshop, steps: int, progress: Progress) -> None:
    """Take a guest through so many steps of the plan's one cell, and give the user a shell in it.

    Raises MeasurementError when it cannot be taken there.
    """
    [cell] = plan.cells
    order = Order.of(plan, cell)
    builds, engine = plan.builds, choose_engine("real")
    try:
        with (
            single_guest(shop, cell.kernel, builds, "shell", progress, engine) as guest,
            held(guest, order, steps),
        ):
            log.info(_there(cell, order, steps))
            subprocess.run(
                guest.vagrant.entry(cell.kernel),
                check=False,
                cwd=PROJECT,
                env={**os.environ, **guest.vagrant.where},
            )
    except TaintedGuest as error:
        raise MeasurementError(f"the guest is not clean, though new: {error}") from error


def _there(cell: Cell, order: Order, steps: int) -> str:
    taken = order.scenario.steps[steps - 1]
    return (
        f"guest {cell.kernel} is as {cell.id} has it after step {steps} ({taken}); HAProxy's files "
        f"are in {build_root(cell.build)}, its log is /run/hatester/haproxy.log; `exit` ends it"
    )
