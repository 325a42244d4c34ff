"""Commands about runs: measure, bisect, show, compare; a shell; a look at this host."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from invoke.exceptions import Exit
from tabulate import tabulate, tabulate_formats

from hatester.analysis import comparison, config_findings, expectation, findings
from hatester.analysis.expectation import Expectation
from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import OUTCOMES, errors, outcome
from hatester.artifacts.apt import debian
from hatester.artifacts.builder import workshop
from hatester.cli import options
from hatester.cli.options import Flags
from hatester.cli.program import INTERRUPTED, NOT_MEASURED, NOT_MET, SKIP_COMMIT
from hatester.cli.signals import limit_time
from hatester.commands.plan import (
    kernels_of,
    log_estimate,
    plan_cells,
    print_ids,
    require_described,
)
from hatester.guests import host_capabilities, machines
from hatester.guests.vagrant import Vagrant
from hatester.matrix.declarations import load_matrix
from hatester.matrix.kernel_spec import with_kernels, with_names
from hatester.matrix.plan import Wanted, cell_of, plan_of, without_unfit
from hatester.matrix.scenario import load_scenario
from hatester.matrix.shards import plan_tasks
from hatester.report import html, reproducer, tables
from hatester.report.live import shown
from hatester.results.merge import merge
from hatester.results.store import Results, find
from hatester.runner.run import RunOptions
from hatester.runner.shell import open_shell
from hatester.runner.start_or_resume import (
    Choice,
    NewRun,
    Sources,
    choose_new_run,
    choose_resumed_run,
    choose_run_like_host,
    measure,
)
from hatester.util.errors import TimeIsUp, UserError
from hatester.util.paths import COMMAND, HOSTS, MATRIX, RESULTS, resolve_path
from hatester.util.progress import Progress
from hatester.util.settings import Settings
from hatester.util.text import displayable
from hatester.util.validation import require

log = logging.getLogger(__name__)


def measure_matrix(settings: Settings, wanted: Wanted, flags: Flags, *, is_dry: bool) -> None:
    """Measure the selected cells, show the run, and end with its exit code.

    With `is_dry`, only list the cells. Raises UserError before anything boots.
    """
    require_table_format(flags.table_format)
    seconds = flags.time_limit_seconds
    choice = _choose(settings, wanted, flags)
    require_described(settings, choice.plan.matrix, choice.plan.builds)
    expected = _load_expected(flags.expect, choice)
    if is_dry:
        list_choice(choice, flags.clock)
        return
    host_capabilities.require()
    with limit_time(seconds), shown() as progress:
        measured = measure(debian(settings), choice.plan, flags.how, choice.run, RESULTS, progress)
    show_run(measured.results, flags.table_format, expected)
    if measured.kept:
        show_kept(measured.kept)
    conclude(measured.results, measured.interruption, expected)


def list_choice(choice: Choice, clock: str) -> None:
    """Print the cells that would be measured, and log an estimate."""
    cells, run = choice.plan.cells, choice.run
    if isinstance(run, Results):
        tasks = plan_tasks(cells, 1)
        print_ids(tasks)
        log_estimate(choice.plan, tasks, run.run.clock)
    elif run.own:
        print_ids(plan_tasks(cells, 1))
        part = f"shard {run.shard} of these cells, " if run.shard else ""
        log.info(f"{part}each for every address that HAProxy, in a guest, is found to bind")
    else:
        tasks = plan_tasks(cells, len(run.seeds), run.shard)
        print_ids(tasks)
        log_estimate(choice.plan, tasks, clock)


def _choose(settings: Settings, wanted: Wanted, flags: Flags) -> Choice:
    """Return the cells to measure: of a new run, or those that the newest run lacks."""
    new, how = flags.new(wanted), flags.how
    declared = load_matrix(MATRIX, flags.matrix)
    sources = Sources(lambda: debian(settings), kernels_of(settings), HOSTS, RESULTS)
    if flags.resume or how.again:
        if any(astuple(wanted)) or new != NewRun() or flags.matrix != "default" or flags.host:
            flag = "--resume" if flags.resume else "--failed"
            raise UserError(f"{flag}: the run has its cells and flags already; leave out others.")
        return choose_resumed_run(declared, how.again, sources)
    if flags.host:
        return choose_run_like_host(declared, wanted, new, flags.host, sources)
    return choose_new_run(declared, wanted, new, sources)


def _load_expected(expect: str, choice: Choice) -> Expectation | None:
    if not expect:
        return None
    if isinstance(choice.run, NewRun) and choice.run.own:
        raise UserError("--expect: the cells of a configuration are not known in advance.")
    return expectation.load(expect, choice.planned, _stored_cells)


def _stored_cells(run: str) -> Sequence[CellResult]:
    return find(RESULTS, run).cells


def bisect_commit(settings: Settings, wanted: Wanted, flags: Flags, bad: str) -> None:
    """Measure the selected cells, and end as `git bisect run` wants it."""
    require(bad, OUTCOMES[1:-1], "--bad")
    plan = plan_cells(settings, wanted, flags.matrix)
    new = flags.new(wanted)
    host_capabilities.require()
    with shown() as progress:
        measured = measure(debian(settings), plan, RunOptions(), new, RESULTS, progress)
    show_run(measured.results, "plain")
    if measured.interruption:
        raise measured.interruption
    outcomes = {outcome(cell) for cell in measured.results.cells}
    if outcomes & set(OUTCOMES[OUTCOMES.index(bad) :]):
        raise Exit("bad", code=NOT_MET)
    if "error" in outcomes:
        raise Exit("Some cells could not be measured.", code=SKIP_COMMIT)
    log.info("good")


def enter_cell(settings: Settings, cell: str, kernels: Sequence[str], step: str) -> None:
    """Open a shell in a guest at a step of a cell."""
    wanted = cell_of(cell)
    declared = load_matrix(MATRIX)
    if kernels:
        declared, _ = with_kernels(declared, Wanted(kernels), kernels_of(settings))
    plan = plan_of(with_names(declared, [wanted.kernel], {}), [wanted], cell)
    [scenario] = plan.scenarios.values()
    steps = options.step("--step", step, len(scenario.steps))
    host_capabilities.require()
    with workshop(debian(settings), plan.matrix) as shop:
        plan = without_unfit(plan, *shop.versions(plan.kernels, plan.builds))
        open_shell(plan, shop, steps, Progress())


def show_stored(run: str, against: str, table_format: str, *, is_recomputed: bool) -> None:
    """Show a stored run, and write its reports again; `against` names an earlier run, or none."""
    require_table_format(table_format)
    results = find(RESULTS, run)
    earlier = find(RESULTS, against) if against else None
    if is_recomputed:
        _recompute(results)
    changes = None
    if earlier:
        compared = comparison.compare(earlier.cells, results.cells)
        changes = comparison.Against(earlier.run.run, compared)
    show_run(results, table_format, against=changes)


def _recompute(results: Results) -> None:
    changed, kept = results.recompute()
    there = len(results.cells)
    judged = there - len(kept)
    log.info(f"judged {judged} cells again: {len(changed)} have other results now")
    for id_ in changed:
        log.info(id_)
    if kept:
        log.info(
            f"{len(kept)} of {there} cells could not be judged again and stay as they were measured"
        )


def merge_runs(runs: Sequence[str], expect: str, table_format: str) -> None:
    """Make one run of several, show it, and end with its exit code."""
    require_table_format(table_format)
    if not runs:
        raise UserError(f"merge: expected RUN. Help: {COMMAND} merge --help")
    planned = find(RESULTS, runs[0]).run.planned
    expected = expectation.load(expect, planned, _stored_cells) if expect else None
    results = merge(RESULTS, runs)
    show_run(results, table_format, expected)
    conclude(results, None, expected)


def compare_runs(before: str, after: str) -> None:
    """Print what differs between two runs, and end with its exit code."""
    compared = comparison.compare(find(RESULTS, before).cells, find(RESULTS, after).cells)
    print(displayable(comparison.text(compared)))
    if compared.of(comparison.ChangeKind.WORSE):
        raise Exit(code=NOT_MET)
    if compared.of(comparison.ChangeKind.LOST):
        raise Exit(code=NOT_MEASURED)


def export_cell(id_: str, folder: str, run: str) -> None:
    """Write a stored cell as a reproducer into a folder."""
    wanted = cell_of(id_)
    results = find(RESULTS, run)
    cells = {each.id: each for each in reversed(results.cells)}
    require(id_, cells, run)
    place = results.scenarios if results.scenarios.exists() else MATRIX / "scenarios"
    scenario = load_scenario(place / wanted.scenario)
    settings = load_matrix(MATRIX).settings
    require(wanted.setting, settings, f"{MATRIX}/settings.yml")
    target = resolve_path(folder, Path())
    reproducer.export(results, cells[id_], scenario, settings[wanted.setting], target)
    print(f"exported: {target}; as root, in that folder: ./run.sh /usr/sbin/haproxy")


def examine_host(settings: Settings, *, is_json: bool) -> None:
    """Print whether everything is there that a run needs. Raises UserError if it is not."""
    found = [*host_capabilities.findings(), mirror(settings)]
    if is_json:
        print(
            json.dumps(
                [{"name": each.name, "ok": each.is_ok, "text": each.text} for each in found],
                indent=1,
            )
        )
    else:
        rows = [(each.name, "ok" if each.is_ok else "MISSING", each.text) for each in found]
        print(displayable(tabulate(rows, tablefmt="plain")))
    if missing := [each.name for each in found if not each.is_ok]:
        raise UserError(f"A run needs more than this host has: {', '.join(missing)}.")


def mirror(settings: Settings) -> host_capabilities.Finding:
    """Return whether Debian's archive can be reached, which the first run needs."""
    try:
        archive = debian(settings)
        archive.require_reachable()
    except UserError as error:
        return host_capabilities.Finding("mirror", False, str(error))
    return host_capabilities.Finding("mirror", True, archive.mirrors.main)


def require_table_format(name: str) -> None:
    """Raise UserError for what tabulate does not know."""
    require(name, tabulate_formats, "--table-format")


def show_run(
    results: Results,
    table_format: str,
    expected: Expectation | None = None,
    against: comparison.Against | None = None,
) -> None:
    """Print a run's tables and findings, the cells without a measurement, and the places of files.

    The answer about the user's own configuration comes first.
    """
    answered = config_findings.find_costs(results.run)
    general = findings.find_general if answered else findings.find
    found = [*answered, *general(results.run)]
    is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    tabled = tables.tables(results.run, table_format, is_coloured=is_coloured)
    text = displayable(findings.text(found))
    changes = f"against {against.run}:\n\n{comparison.text(against.comparison)}" if against else ""
    parts = [
        *((text, tabled) if answered else (tabled, text)),
        displayable(changes),
        displayable(errors(results.cells)),
        displayable(differences(results)),
    ]
    print("\n\n".join(part for part in parts if part), flush=True)
    files = html.write_reports(results, found, expected, against)
    print(
        f"\nresults: {results.file}\n"
        f"reports: {', '.join(str(file) for file in files)}\n"
        f"evidence: {results.folder / 'cells'}"
    )


def differences(results: Results) -> str:
    """Return the differences between the guests and the captured host."""
    run = results.run
    return "\n".join(f"unlike {run.captured}: {each}" for each in run.differs)


def show_kept(kept: Vagrant) -> None:
    """Print how to enter the guests that were kept, and how to end them."""
    there = " ".join(f"{name}={shlex.quote(value)}" for name, value in kept.where.items())
    for name in machines.kept_machines(kept.folder):
        print(f"kept: {there} {shlex.join(kept.entry(name))}")
    if kept.engine.is_virtual:
        print(f"they stand still until: {there} vagrant resume")
    print(f"end with: {there} vagrant destroy -f")


def conclude(
    results: Results, interruption: KeyboardInterrupt | None, expected: Expectation | None = None
) -> None:
    """End with the exit code of a run, and why it is not 0."""
    if interruption:
        is_late = isinstance(interruption, TimeIsUp)
        planned = len(results.run.tasks)
        done = planned - len(results.left())
        raise Exit(
            f"{interruption if is_late else 'Interrupted:'} {done} of {planned} cells were "
            f"measured; {COMMAND} matrix --resume goes on with the rest.",
            code=NOT_MEASURED if is_late else INTERRUPTED,
        )
    if expected and (differences := expected.differences(results.cells)):
        raise Exit(displayable(differences), code=NOT_MET)
    if shortfall := results.run.shortfall:
        rest = f"{COMMAND} matrix --resume measures the rest"
        raise Exit(f"{shortfall}; {rest}.", code=NOT_MEASURED)
    if not all(cell.is_measured for cell in results.cells):
        raise Exit("Some cells could not be measured.", code=NOT_MEASURED)
