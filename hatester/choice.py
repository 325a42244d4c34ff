"""Which cells a run is about: those of a new one, or what the newest one lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from hatester.given import with_given
from hatester.kernel_references import with_kernels, with_names
from hatester.matrix import Matrix
from hatester.measuring import New
from hatester.paths import RESULTS
from hatester.plan import Plan, Wanted, make_plan, plan_of, without_scenarios
from hatester.results import LATEST, Results, find
from hatester.suite_kernels import Kernels


class Choice(NamedTuple):
    """What is to be measured, in which run, and the ids of all that the run is to have."""

    plan: Plan
    run: Results | New
    planned: Sequence[str]


def new_run(declared: Matrix, wanted: Wanted, new: New, kernels: Kernels) -> Choice:
    """What is wanted. Raises UserError for a name that is not declared, and for no cell."""
    make = without_scenarios if new.own else make_plan
    plan = make(*with_kernels(declared, wanted, kernels))
    return Choice(plan, new, [cell.id for cell in plan.cells])


def newest_run(declared: Matrix, again: Collection[str]) -> Choice:
    """What the newest run lacks, or has with one of the outcomes `again`.

    Raises UserError where there is none, and for what is declared no more.
    """
    run = find(RESULTS, LATEST)
    left = [cell for cell, _ in run.left(again)]
    declared = with_given(declared, run.described_builds)
    declared = with_names(declared, {cell.kernel for cell in left}, run.described_kernels)
    made = run.scenarios if run.scenarios.exists() else None
    plan = plan_of(declared, left, str(run.file), made)
    return Choice(plan, run, [cell.id for cell, _ in run.planned])
