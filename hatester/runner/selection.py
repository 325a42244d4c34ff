"""Which cells a run is about: those of a new one, or what the newest one lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from hatester.artifacts.apt import Archive
from hatester.matrix.build_spec import with_given
from hatester.matrix.kernel_spec import Kernels, with_kernels, with_names
from hatester.matrix.models import Matrix
from hatester.matrix.plan import Plan, Wanted, make_plan, plan_of, without_scenarios
from hatester.matrix.scenario import ADVISED
from hatester.results.store import Results, find
from hatester.runner.reproduce import Likeness, likeness
from hatester.runner.start import New
from hatester.util.paths import LATEST

log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """What is to be measured, in which run, and the ids of all that the run is to have."""

    plan: Plan
    run: Results | New
    planned: Sequence[str]


@dataclass(frozen=True)
class Market:
    """Where it is asked what there is, by whom it has to be; most choices ask nobody."""

    archive: Callable[[], Archive]
    kernels: Kernels
    hosts: Path
    """The folder of captured hosts."""
    results: Path
    """The folder of runs."""

    def like(self, declared: Matrix, wanted: Wanted, name: str) -> Likeness:
        """What a captured host asks for. Raises UserError where there is none of that name."""
        return likeness(declared, wanted, self.hosts, name, self.archive())


def new_run(declared: Matrix, wanted: Wanted, new: New, market: Market) -> Choice:
    """What is wanted. Raises UserError for a name that is not declared, and for no cell."""
    make = without_scenarios if new.own else make_plan
    if new.own and new.own.is_advised and not wanted.settings:
        wanted = replace(wanted, settings=ADVISED)
    plan = make(*with_kernels(declared, wanted, market.kernels))
    return Choice(plan, new, [cell.id for cell in plan.cells])


def like_host(declared: Matrix, wanted: Wanted, new: New, name: str, market: Market) -> Choice:
    """Guests like a captured host, but for what else is wanted; with its configuration."""
    like = market.like(declared, wanted, name)
    new = replace(new, own=like.own, wanted=like.wanted, captured=name, differs=like.differs)
    return new_run(like.matrix, like.wanted, new, market)


def newest_run(declared: Matrix, again: Collection[str], market: Market) -> Choice:
    """What the newest run lacks, or has without its evidence, or with one of the outcomes `again`.

    Raises UserError where there is none, and for what is declared no more.
    """
    run = find(market.results, LATEST)
    if unproven := run.unproven():
        ids = ", ".join(entry["id"] for entry, _ in unproven)
        log.info(f"measured again, since the evidence is missing or damaged: {ids}")
    left = [cell for cell, _ in run.left(again)]
    if captured := run.run.get("captured"):
        declared = market.like(declared, Wanted(), captured).matrix
    declared = with_given(declared, run.described_builds)
    declared = with_names(declared, {cell.kernel for cell in left}, run.described_kernels)
    made = run.scenarios if run.scenarios.exists() else None
    plan = plan_of(declared, left, str(run.file), made)
    return Choice(plan, run, [cell.id for cell, _ in run.planned])
