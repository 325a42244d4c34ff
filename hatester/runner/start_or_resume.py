"""Start a run or resume one: which cells it measures, in which results, and then measure them.

`--resume` and `--failed` continue the newest run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from hatester import __version__
from hatester.analysis.model import RunOrigin
from hatester.analysis.outcomes import left_out
from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop, workshop
from hatester.guests import host_capabilities
from hatester.guests.checkpoint import single_guest
from hatester.guests.host_capabilities import choose_engine
from hatester.guests.vagrant import Vagrant
from hatester.matrix.build_spec import with_given
from hatester.matrix.clients import read_clients, require_sense
from hatester.matrix.declarations import Matrix
from hatester.matrix.kernel_spec import Kernels, with_kernels, with_names
from hatester.matrix.plan import (
    Plan,
    Wanted,
    load_scenarios,
    make_plan,
    plan_of,
    with_scenarios,
    without_scenarios,
    without_unfit,
)
from hatester.matrix.scenario import ADVISED
from hatester.matrix.shards import Shard
from hatester.results.folder import require_place
from hatester.results.store import Results, begin, find
from hatester.runner import config_scenarios
from hatester.runner.guest_like_host import Likeness, likeness
from hatester.runner.run import Run, RunOptions
from hatester.runner.survey import Surveyed, survey_configuration, without_needless
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError
from hatester.util.paths import LATEST
from hatester.util.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewRun:
    """A run that is to begin.

    Each cell is measured with each of the `seeds`, on a clock of `host_capabilities.CLOCKS`. An
    address is probed every `probe_interval` seconds; None: as the scenario has it. `clients` are
    words for those that are added to a scenario's own (`hatester.matrix.clients.read_clients`). The
    scenarios are made from an `own` configuration, if there is one; `wanted` then selects from the
    cells. `captured` is the name of the host that guests are to be like, and `differs` lists the
    differences. With a `shard`, only that part of the plan is measured.
    """

    seeds: tuple[int, ...] = (0,)
    clock: str = "auto"
    probe_interval: float | None = None
    own: Own | None = None
    wanted: Wanted = field(default_factory=Wanted)
    captured: str = ""
    differs: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    shard: Shard | None = None


class Choice(NamedTuple):
    """The cells to measure, the run that gets them, and the ids of all planned cells.

    Cells of all shards are planned, and are in the plan of a new run.
    """

    plan: Plan
    run: Results | NewRun
    planned: Sequence[str]


@dataclass(frozen=True)
class Sources:
    """The places that a choice may have to ask; most choices ask none of them."""

    archive: Callable[[], Archive]
    kernels: Kernels
    hosts: Path
    """The folder of captured hosts."""
    results: Path
    """The folder of runs."""

    def find_likeness(self, declared: Matrix, wanted: Wanted, name: str) -> Likeness:
        """Return the declarations for a captured host. Raises UserError if there is none."""
        return likeness(declared, wanted, self.hosts, name, self.archive())


def choose_new_run(declared: Matrix, wanted: Wanted, new: NewRun, sources: Sources) -> Choice:
    """Return the selected cells. Raises UserError for an unknown name, and for no cell."""
    make = without_scenarios if new.own else make_plan
    if new.own and new.own.is_advised and not wanted.settings:
        wanted = replace(wanted, settings=ADVISED)
    plan = make(*with_kernels(declared, wanted, sources.kernels))
    for name, scenario in plan.scenarios.items():
        clients = scenario.clients.with_more(read_clients(new.clients))
        require_sense(clients, scenario.configurations.values(), f"scenario {name}: clients")
    return Choice(plan, new, [cell.id for cell in plan.cells])


def choose_run_like_host(
    declared: Matrix, wanted: Wanted, new: NewRun, name: str, sources: Sources
) -> Choice:
    """Return cells with guests like a captured host and its configuration.

    The user's selection takes the place of the host's own. Raises as `choose_new_run` does.
    """
    like = sources.find_likeness(declared, wanted, name)
    new = replace(new, own=like.own, wanted=like.wanted, captured=name, differs=like.differs)
    return choose_new_run(like.matrix, like.wanted, new, sources)


def choose_resumed_run(declared: Matrix, again: Collection[str], sources: Sources) -> Choice:
    """Return the newest run with its cells that are missing, or have one of the outcomes `again`.

    A cell whose evidence is missing or damaged counts as missing. Raises UserError if there is no
    run, and for a declaration that is gone.
    """
    run = find(sources.results, LATEST)
    if unproven := run.unproven():
        ids = ", ".join(cell.id for cell, _ in unproven)
        log.info(f"measured again, since the evidence is missing or damaged: {ids}")
    left = [cell for cell, _ in run.left(again)]
    if captured := run.run.captured:
        declared = sources.find_likeness(declared, Wanted(), captured).matrix
    declared = with_given(declared, run.run.builds)
    declared = with_names(declared, {cell.kernel for cell in left}, run.run.kernels)
    made = run.scenarios if run.scenarios.exists() else None
    plan = plan_of(declared, left, str(run.file), made)
    return Choice(plan, run, run.run.planned)


class Measured(NamedTuple):
    """The end of a run, also of one that was interrupted."""

    results: Results
    kept: Vagrant | None
    """The way to the guests that were kept, if any were."""
    interruption: KeyboardInterrupt | None


def measure(
    archive: Archive,
    plan: Plan,
    how: RunOptions,
    run: Results | NewRun,
    folder: Path,
    progress: Progress,
) -> Measured:
    """Measure the cells of a plan in a new run in `folder`, or the missing cells of a stored run.

    Raises UserError for a problem that only the user can solve, and KeyboardInterrupt if there is
    no result yet.
    """
    results = run if isinstance(run, Results) else None
    kept = interruption = None
    require_place(folder)
    try:
        with workshop(archive, plan.matrix) as shop:
            if isinstance(run, NewRun):
                plan, results = _begin(shop, plan, run, folder, progress)
            assert results is not None
            with results.measuring():
                plan = plan.of_kernels({cell.kernel for cell, _ in results.left(how.again)})
                materials = shop.make(plan.kernels, plan.builds)
                kept = Run(plan, how, materials, results, progress).run()
    except KeyboardInterrupt as error:
        if results is None:
            raise
        interruption = error
    return Measured(results, kept, interruption)


def _begin(
    shop: Workshop, plan: Plan, new: NewRun, folder: Path, progress: Progress
) -> tuple[Plan, Results]:
    """Return the cells of a plan that can be measured, and a folder for their results."""
    plan = without_unfit(plan, *shop.versions(plan.kernels, plan.builds))
    if omissions := left_out(plan.left_out):
        log.info(omissions)
    for difference in new.differs:
        log.info(f"unlike {new.captured}: {difference}")
    found = _survey(shop, plan, new.own, new.clock, progress) if new.own else None
    contents = found.scenarios if found else {}
    if new.own:
        plan = with_scenarios(plan, new.wanted, list(contents))
        plan = without_needless(plan) if new.own.is_advised and not new.wanted.settings else plan
    results = begin(
        folder, host_capabilities.describe(), plan.cells, plan.left_out, new.seeds,
        choose_engine(new.clock).clock, new.probe_interval, _origin(plan, new, found),
    )  # fmt: skip
    if new.shard:
        planned = len(plan.cells) * len(new.seeds)
        log.info(f"shard {new.shard}: {len(results.run.tasks)} of {planned} cells")
    if new.own:
        config_scenarios.write(results.scenarios, new.own, contents)
        plan = replace(plan, scenarios=load_scenarios(results.scenarios, plan.cells))
    return plan, results


def _origin(plan: Plan, new: NewRun, surveyed: Surveyed | None) -> RunOrigin:
    """Return the part of `run.json` by which the run can be resumed and explained."""
    return RunOrigin(
        hatester=__version__,
        matrix=plan.sum_content(),
        shard=str(new.shard) if new.shard else None,
        clients=new.clients,
        kernels=dict(plan.matrix.described_kernels),
        builds=dict(plan.matrix.described_builds),
        captured=new.captured or None,
        differs=new.differs,
        configuration=surveyed.describe() if surveyed else None,
    )


def _survey(shop: Workshop, plan: Plan, own: Own, clock: str, progress: Progress) -> Surveyed:
    """Ask HAProxy in a guest about a configuration; the first build that accepts it answers.

    Raises MeasurementError if none does, with the message of the first one.
    """
    kernel, chosen = plan.cells[0].kernel, choose_engine(clock)
    refusals: list[MeasurementError] = []
    with single_guest(shop, kernel, plan.builds, "survey", progress, chosen) as guest:
        for build in plan.builds:
            progress.doing(kernel, f"asking HAProxy {build} what the configuration binds")
            try:
                found = survey_configuration(guest, build, own)
            except MeasurementError as error:
                log.info(str(error))
                refusals.append(error)
            else:
                for said in found.said:
                    log.info(said)
                return found
    raise refusals[0]
