"""A shell in a guest, at a step of a cell."""

from __future__ import annotations

import os
import subprocess

from hatester.engine import choose
from hatester.errors import MeasurementError
from hatester.guests import build_root
from hatester.materials import Workshop
from hatester.paths import PROJECT
from hatester.plan import Cell, Plan
from hatester.progress import Progress
from hatester.sequence import Order, Tainted, held
from hatester.single import single_guest


def open_shell(plan: Plan, shop: Workshop, steps: int, progress: Progress) -> None:
    """Take a guest through so many steps of the plan's one cell, and give the user a shell in it.

    Raises MeasurementError when it cannot be taken there.
    """
    [cell] = plan.cells
    order = Order(
        build=cell.build,
        setting=plan.matrix.settings[cell.setting],
        scenario=plan.scenarios[cell.scenario],
        method=cell.method,
    )
    builds, engine = [cell.build], choose("real")
    try:
        with (
            single_guest(shop, cell.kernel, builds, "shell", progress, engine) as guest,
            held(guest, order, steps),
        ):
            progress.say(_there(cell, order, steps))
            subprocess.run(
                guest.vagrant.entry(cell.kernel),
                check=False,
                cwd=PROJECT,
                env={**os.environ, **guest.vagrant.where},
            )
    except Tainted as error:
        raise MeasurementError(f"the guest is not clean, though new: {error}") from error


def _there(cell: Cell, order: Order, steps: int) -> str:
    taken = order.scenario.steps[steps - 1]
    return (
        f"guest {cell.kernel} is as {cell.id} has it after step {steps} ({taken}); HAProxy's files "
        f"are in {build_root(cell.build)}, its log is /run/hatester/haproxy.log; `exit` ends it"
    )
