"""A plan carried out: what its cells need is made, and they are measured, with the user told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hatester import host, live, tables
from hatester.archive import Archive
from hatester.cli import workshop
from hatester.paths import RESULTS
from hatester.plan import Plan, without_unfit
from hatester.results import Results, begin
from hatester.run import How, Run
from hatester.vagrant import Vagrant


@dataclass(frozen=True)
class New:
    """A run that is to begin: each cell `repeat` times, an address asked every `probe_interval`
    seconds (None: as its scenario has it)."""

    repeat: int = 1
    probe_interval: float | None = None


class Measured(NamedTuple):
    """What there is in the end, also where the user did not wait for it."""

    results: Results
    kept: Vagrant | None
    """The way to the machines that go on, if any do."""
    is_interrupted: bool


def measure(archive: Archive, plan: Plan, how: How, run: Results | New) -> Measured:
    """Measure the cells of a plan in a new run, or those that a stored one lacks.

    Raises UserError for what only the user can mend, and KeyboardInterrupt when there is nothing
    to keep yet.
    """
    results = run if isinstance(run, Results) else None
    kept = None
    is_interrupted = False
    try:
        with live.shown() as progress, workshop(archive, plan.matrix, progress.say) as shop:
            if isinstance(run, New):
                plan = without_unfit(plan, *shop.versions(plan.kernels, plan.builds))
                if left_out := tables.left_out(plan.left_out):
                    progress.say(left_out)
                results = begin(
                    RESULTS, host.describe(), plan.cells, plan.left_out,
                    run.repeat, run.probe_interval, plan.matrix.references,
                )  # fmt: skip
            materials = shop.make(plan.kernels, plan.builds)
            assert results is not None
            kept = Run(plan, how, materials, results, progress).run()
    except KeyboardInterrupt:
        if results is None:
            raise
        is_interrupted = True
    return Measured(results, kept, is_interrupted)
