"""The command line of hatester: `invoke --list`."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict
from json import dumps
from types import FrameType
from typing import TypeVar

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from tabulate import tabulate

from hatester import bench as benchmarks
from hatester import commands, flags, host, runs, tables
from hatester.archive import Archive, find_mirrors
from hatester.bench import Subject
from hatester.errors import MeasurementError, UserError
from hatester.images import tell_vagrant
from hatester.keys import find_keys
from hatester.materials import Workshop
from hatester.matrix import METHODS, load_matrix, require
from hatester.paths import MACHINES, MATRIX, PROJECT, RESULTS
from hatester.plan import Plan, Wanted, make_plan, without_unfit
from hatester.ready import Starter
from hatester.results import Results, begin, find
from hatester.run import How, Keep, Run
from hatester.vagrant import Vagrant

Thing = TypeVar("Thing")

MISTAKE = 2
NOT_MEASURED = 3
INTERRUPTED = 130

SELECT = {
    "matrix": "The file of matrix/ that says what to run: default, full, or one of your own.",
    "kernel": "A kernel of matrix/kernels.yml, instead of the default ones (repeatable).",
    "haproxy": "A build of matrix/haproxy.yml, instead of the default ones (repeatable).",
    "setting": "A setting of matrix/settings.yml, instead of the default ones (repeatable).",
    "scenario": "A folder of matrix/scenarios, instead of the default ones (repeatable).",
    "method": f"A way of reloading: {', '.join(METHODS)} (repeatable).",
    "only": "Only cells whose id matches a pattern, such as '6.1/*/plain/*' (repeatable).",
    "skip": "No cells whose id matches a pattern (repeatable).",
}
NAMES = ["kernel", "haproxy", "setting", "scenario", "method", "only", "skip"]


def say(text: str) -> None:
    """Progress goes to standard error; standard output is for results."""
    # As one piece, since several threads have something to say.
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """How a command ends that does not reach its end.

    What the user can mend ends with its sentence and exit code 2, and where there is nothing to
    measure, with 3; a signal ends it as Ctrl-C does, with all that it started.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What nohup(1) has it ignore stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    except UserError as error:
        raise Exit(str(error), code=MISTAKE) from error
    except MeasurementError as error:
        raise Exit(str(error), code=NOT_MEASURED) from error
    except KeyboardInterrupt as error:
        raise Exit("Interrupted.", code=INTERRUPTED) from error


def interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


@task(iterable=NAMES, help={
    **SELECT,
    "repeat": "Measure each cell so often; tables show the spread.",
    "probe_interval": "Between two probes of an address, such as 20ms (the default) or 0.05s.",
    "jobs": "How many guests at once; 0, the default: as many as this host has room for.",
    "keep": "Which guests go on afterwards: never, failed (those with a cell that could not be "
    "measured) or always.",
})  # fmt: skip
def matrix(
    c: Context, kernel: Sequence[str], haproxy: Sequence[str], setting: Sequence[str],
    scenario: Sequence[str], method: Sequence[str], only: Sequence[str], skip: Sequence[str],
    matrix: str = "default", repeat: str = "1", probe_interval: str = "", jobs: str = "0",
    keep: str = "never",
) -> None:  # fmt: skip
    """Measure what a reload does, for every selected cell; tables and results/RUN/run.json.

    Exit codes: 0 every cell was measured, 2 a mistake was found before anything booted, 3 some
    cell could not be measured.
    """
    with orderly():
        require(keep, [each.value for each in Keep], "--keep")
        how = How(
            Keep(keep),
            flags.count("--repeat", repeat),
            flags.interval("--probe-interval", probe_interval),
            flags.count("--jobs", jobs, least=0) or host.guests_at_once(),
        )
        wanted = Wanted(kernel, haproxy, setting, scenario, method, only, skip)
        plan = make_plan(load_matrix(MATRIX, matrix), wanted)
        if c.config.run.dry:
            print("\n".join(cell.id for cell in plan.cells))
            return
        host.require()
        with side_by_side() as pool:
            workshop = Workshop(debian(c), plan.matrix, find_keys(), pool, say)
            plan = without_unfit(plan, *workshop.versions(plan.kernels, plan.builds))
            tell_left_out(plan)
            materials = workshop.make(plan.kernels, plan.builds)
            run(
                Run(
                    plan,
                    how,
                    materials,
                    begin(RESULTS, host.describe(), plan.cells, plan.left_out),
                    say,
                )
            )


@contextlib.contextmanager
def side_by_side() -> Iterator[Executor]:
    """Threads in which things are made; none of them, nor a command that it runs, stays behind."""
    pool = ThreadPoolExecutor(host.makers())
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        commands.stop()
        raise
    finally:
        pool.shutdown()


def tell_left_out(plan: Plan) -> None:
    """The cells that make no sense, each reason once."""
    if left_out := tables.left_out(plan.left_out):
        say(left_out)


def run(matrix_run: Run) -> None:
    """Run a plan to its end, or until it is interrupted; then show what was measured."""
    results = matrix_run.results
    kept: Vagrant | None = None
    interrupted = False
    try:
        kept = matrix_run.run()
    except KeyboardInterrupt:
        interrupted = True
    show_results(results)
    if kept:
        there = " ".join(f"{name}={shlex.quote(value)}" for name, value in kept.where.items())
        for name in runs.kept_machines(kept.folder):
            print(f"kept: {there} vagrant ssh {name}")
        print(f"end with: {there} vagrant destroy -f")
    if interrupted:
        done, planned = len(results.cells), matrix_run.planned
        raise Exit(f"Interrupted: {done} of {planned} cells were measured.", code=INTERRUPTED)
    if any(cell["error"] for cell in results.cells):
        raise Exit("Some cells could not be measured.", code=NOT_MEASURED)


def show_results(results: Results) -> None:
    """A run's tables, what could not be measured, and where everything is."""
    print(tables.tables(results.cells))
    if complaints := tables.errors(results.cells):
        print(f"\n{complaints}")
    print(f"\nresults: {results.file}")


@task(help={
    "run": "A run by its name, such as latest, or by its folder.",
    "recompute": "Judge the cells again by their stored evidence; needs no guest.",
})  # fmt: skip
def report(c: Context, run: str, recompute: bool = False) -> None:
    """Show a stored run again: `invoke report latest`."""
    with orderly():
        results = find(RESULTS, run)
        if recompute:
            changed = results.recompute()
            say(f"judged {len(results.cells)} cells again: {len(changed)} are told differently now")
            for id_ in changed:
                say(id_)
        show_results(results)


def debian(c: Context) -> Archive:
    """Debian's archive, at the mirrors that the settings or the host name."""
    return Archive(find_mirrors(c.hatester.mirror, c.hatester.security_mirror))


@task(iterable=NAMES, help={**SELECT, "json": "As JSON, a list of cells."})
def plan(
    c: Context, kernel: Sequence[str], haproxy: Sequence[str], setting: Sequence[str],
    scenario: Sequence[str], method: Sequence[str], only: Sequence[str], skip: Sequence[str],
    matrix: str = "default", json: bool = False,
) -> None:  # fmt: skip
    """List the cells that `invoke matrix` would run with the same flags; boots nothing."""
    with orderly():
        wanted = Wanted(kernel, haproxy, setting, scenario, method, only, skip)
        made = make_plan(load_matrix(MATRIX, matrix), wanted)
        cells = made.cells
        tell_left_out(made)
    if json:
        print(dumps([{"id": cell.id, **asdict(cell)} for cell in cells], indent=1))
    else:
        print("\n".join(cell.id for cell in cells))


@task
def doctor(c: Context) -> None:
    """Is everything there that a run needs: each thing, ok or what to do about it."""
    with orderly():
        found = [*host.findings(), mirror(c)]
        rows = [(each.name, "ok" if each.is_ok else "MISSING", each.text) for each in found]
        print(tabulate(rows, tablefmt="plain"))
        if missing := [each.name for each in found if not each.is_ok]:
            raise UserError(f"A run needs more than is here: {', '.join(missing)}.")


def mirror(c: Context) -> host.Finding:
    """Whether Debian's archive can be reached, which the first run needs."""
    try:
        archive = debian(c)
        archive.require_reachable()
    except UserError as error:
        return host.Finding("mirror", False, str(error))
    return host.Finding("mirror", True, archive.mirrors.main)


@task(iterable=["kernel"], help={
    "kernel": "A kernel of matrix/kernels.yml, instead of all (repeatable).",
    "refresh": "Ask the mirror for what is newer, instead of using what was made.",
})  # fmt: skip
def images(c: Context, kernel: Sequence[str], refresh: bool = False) -> None:
    """Make the guest images, a kernel kit each and one system; what is there is used again."""
    with orderly():
        declared = load_matrix(MATRIX)
        for name in kernel:
            require(name, declared.kernels, "--kernel")
        host.require()
        names = kernel or list(declared.kernels)
        archive, keys = debian(c), find_keys()
        if refresh:
            renew(archive, [declared.kernels[name].suite for name in names])
            renew(archive, [declared.kernels[name].system for name in names])
        with side_by_side() as pool:
            materials = Workshop(archive, declared, keys, pool, say).make(names, [])
            images, lacks = had(materials.image, names)
        tell_vagrant(MACHINES, {name: image.machine(keys) for name, image in images.items()})
        rows = [(name, image.kit.release, image.kit.folder) for name, image in images.items()]
        show(("kernel", "release", "kit"), rows, lacks)


@task(iterable=["haproxy"], help={
    "haproxy": "A build of matrix/haproxy.yml, instead of all (repeatable).",
    "refresh": "Ask the mirror for what is newer, instead of using what was made.",
})  # fmt: skip
def builds(c: Context, haproxy: Sequence[str], refresh: bool = False) -> None:
    """Make the HAProxy builds; what is there is used again."""
    with orderly():
        declared = load_matrix(MATRIX)
        for name in haproxy:
            require(name, declared.builds, "--haproxy")
        host.require()
        names = haproxy or list(declared.builds)
        archive = debian(c)
        if refresh:
            renew(archive, [declared.builds[name].suite for name in names])
        with side_by_side() as pool:
            materials = Workshop(archive, declared, find_keys(), pool, say).make([], names)
            trees, lacks = had(materials.tree, names)
        rows = [(name, tree.version, tree.disk) for name, tree in trees.items()]
        show(("build", "version", "tree"), rows, lacks)


def renew(archive: Archive, suites: Sequence[str]) -> None:
    """Fetch the lists of suites again; what a mirror has no more is said when it is made."""
    for suite in dict.fromkeys(suites):
        with contextlib.suppress(MeasurementError):
            archive.refresh(suite)


def had(
    make: Callable[[str], Thing], names: Iterable[str]
) -> tuple[dict[str, Thing], list[MeasurementError]]:
    """What could be made, by name, and why the rest could not."""
    things, lacks = {}, []
    for name in names:
        try:
            things[name] = make(name)
        except MeasurementError as error:
            lacks.append(error)
    return things, lacks


def show(
    headers: Sequence[str], rows: Sequence[Sequence[object]], lacks: Sequence[MeasurementError]
) -> None:
    """What was made, as a table; what could not be, with its reason and exit code 3."""
    print(tabulate(rows, headers=headers, disable_numparse=True))
    if lacks:
        raise Exit("\n".join(map(str, lacks)), code=NOT_MEASURED)


@task(iterable=["part"], help={
    "part": f"What to measure, instead of all: {', '.join(benchmarks.PARTS)} (repeatable).",
})  # fmt: skip
def bench(c: Context, part: Sequence[str]) -> None:
    """Measure how long things take on this host; a table and results/bench/TIME.json."""
    with orderly():
        for name in part:
            require(name, benchmarks.PARTS, "--part")
        host.require()
        plan = make_plan(load_matrix(MATRIX), Wanted())
        kernel, build = plan.cells[0].kernel, plan.cells[0].build
        with side_by_side() as pool, runs.machines_folder("bench") as folder:
            workshop = Workshop(debian(c), plan.matrix, find_keys(), pool, say)
            materials = workshop.make([kernel], [build])
            starter = Starter(
                materials.image(kernel),
                {build: materials.tree(build)},
                materials.keys,
                Vagrant(PROJECT, folder, host.accelerator()),
                say,
            )
            measured = benchmarks.measure(
                part or list(benchmarks.PARTS), Subject(plan, starter), say
            )
        print(tabulate([figure.row for figure in measured], headers=benchmarks.HEADERS))
        print(f"\nresults: {benchmarks.store(RESULTS, host.describe(), measured)}")


@task
def lint(c: Context) -> None:
    """Check the style and the types of the code."""
    c.run("ruff check .")
    c.run("ruff format --check .")
    c.run("mypy")


@task(lint)
def test(c: Context) -> None:
    """All tests: lint, the unit tests, and those that use real guests."""
    c.run("pytest")
