"""A plan carried out: what its cells need is made, and they are measured, with the user told."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from hatester.analysis import reasons
from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop, workshop
from hatester.guests import engine, host
from hatester.guests.checkpoint import single_guest
from hatester.guests.vagrant import Vagrant
from hatester.matrix.plan import Plan, Wanted, load_scenarios, with_scenarios, without_unfit
from hatester.results.folders import require_place
from hatester.results.store import Results, begin
from hatester.runner import config_scenarios
from hatester.runner.config_survey import Surveyed, surveyed, without_needless
from hatester.runner.runner import How, Run
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError
from hatester.util.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class New:
    """A run that is to begin: each cell with each of the `seeds`, on a `clock` of `engine.CLOCKS`,
    an address asked every `probe_interval` seconds (None: as its scenario has it); with an `own`
    configuration, its scenarios are made of that, and `wanted` picks among the cells then.
    `captured` names the host that guests are to be like, and `differs` says in what they are not.
    """

    seeds: tuple[int, ...] = (0,)
    clock: str = "auto"
    probe_interval: float | None = None
    own: Own | None = None
    wanted: Wanted = field(default_factory=Wanted)
    captured: str = ""
    differs: tuple[str, ...] = ()


class Measured(NamedTuple):
    """What there is in the end, also where the user did not wait for it."""

    results: Results
    kept: Vagrant | None
    """The way to the machines that go on, if any do."""
    interruption: KeyboardInterrupt | None


def measure(
    archive: Archive, plan: Plan, how: How, run: Results | New, folder: Path, progress: Progress
) -> Measured:
    """Measure the cells of a plan in a new run in `folder`, or those that a stored one lacks.

    Raises UserError for what only the user can mend, and KeyboardInterrupt when there is nothing
    to keep yet.
    """
    results = run if isinstance(run, Results) else None
    kept = interruption = None
    require_place(folder)
    try:
        with workshop(archive, plan.matrix) as shop:
            if isinstance(run, New):
                plan, results = _begin(shop, plan, run, folder, progress)
            assert results is not None
            with results.measuring():
                materials = shop.make(plan.kernels, plan.builds)
                kept = Run(plan, how, materials, results, progress).run()
    except KeyboardInterrupt as error:
        if results is None:
            raise
        interruption = error
    return Measured(results, kept, interruption)


def _begin(
    shop: Workshop, plan: Plan, new: New, folder: Path, progress: Progress
) -> tuple[Plan, Results]:
    """What can be measured of a plan, and a folder for its results."""
    plan = without_unfit(plan, *shop.versions(plan.kernels, plan.builds))
    if left_out := reasons.left_out(plan.left_out):
        log.info(left_out)
    for difference in new.differs:
        log.info(f"unlike {new.captured}: {difference}")
    found = _survey(shop, plan, new.own, new.clock, progress) if new.own else None
    contents = found.scenarios if found else {}
    if new.own:
        plan = with_scenarios(plan, new.wanted, list(contents))
        plan = without_needless(plan) if new.own.is_advised and not new.wanted.settings else plan
    results = begin(
        folder, host.describe(), plan.cells, plan.left_out,
        new.seeds, engine.choose(new.clock).clock, new.probe_interval, _further(plan, new, found),
    )  # fmt: skip
    if new.own:
        config_scenarios.write(results.scenarios, new.own, contents)
        plan = replace(plan, scenarios=load_scenarios(results.scenarios, plan.cells))
    return plan, results


def _further(plan: Plan, new: New, surveyed: Surveyed | None) -> dict[str, Any]:
    """What a run has to know in order to be finished later, or to be told of."""
    further: dict[str, Any] = {
        "kernels": dict(plan.matrix.described_kernels),
        "builds": dict(plan.matrix.described_builds),
    }
    if surveyed:
        further["configuration"] = surveyed.described()
    if new.captured:
        further |= {"captured": new.captured, "differs": list(new.differs)}
    return further


def _survey(shop: Workshop, plan: Plan, asked: Own, clock: str, progress: Progress) -> Surveyed:
    """Ask HAProxy in a guest about a configuration: the first build that accepts it.

    Raises MeasurementError when none does, with what the first one says.
    """
    kernel, chosen = plan.cells[0].kernel, engine.choose(clock)
    refusals: list[MeasurementError] = []
    with single_guest(shop, kernel, plan.builds, "survey", progress, chosen) as guest:
        for build in plan.builds:
            progress.doing(kernel, f"asking HAProxy {build} what the configuration binds")
            try:
                found = surveyed(guest, build, asked)
            except MeasurementError as error:
                log.info(str(error))
                refusals.append(error)
            else:
                for said in found.said:
                    log.info(said)
                return found
    raise refusals[0]
