"""The command line of hatester: `invoke --list`.

A command imports its modules when it runs, so that `--list` and `--help` need few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from invoke.context import Context
from invoke.tasks import task

from hatester.cli.flag_help import (
    CLOCK,
    DESCRIBED,
    JSON,
    KERNEL,
    MATRIX,
    NAMES,
    QUIET,
    SEED,
    SELECT,
    SHARD,
    TABLE_FORMAT,
    VERBOSE,
    listed,
)
from hatester.cli.program import SKIP_COMMIT, STOP_BISECTION, orderly
from hatester.util.paths import IS_INSTALLED
from hatester.util.settings import read_settings

if not IS_INSTALLED:
    from tests.commands import lint, test  # noqa: F401 # Invoke takes them from here

command = partial(task, auto_shortflags=False)
"""Invoke would give flags one letter each, which may change with every new flag."""


@command(iterable=[*NAMES, "seed", "client", "file", "env"], optional=["failed"], help={
    **SELECT,
    **MATRIX,
})  # fmt: skip
def matrix(
    c: Context, kernel: Sequence[str], haproxy: Sequence[str], upgrade_to: Sequence[str],
    setting: Sequence[str], scenario: Sequence[str], method: Sequence[str], only: Sequence[str],
    skip: Sequence[str], seed: Sequence[str], client: Sequence[str], file: Sequence[str],
    env: Sequence[str],
    matrix: str = "default", shard: str = "", repeat: str = "", clock: str = "auto",
    probe_interval: str = "", load: str = "", jobs: str = "0", time_limit: str = "",
    keep: str = "never", resume: bool = False, failed: str = "", expect: str = "",
    config: str = "", after: str = "", host: str = "", advise: bool = True,
    table_format: str = "plain", dry_run: bool = False, quiet: bool = False, verbose: bool = False,
) -> None:  # fmt: skip
    """Measure a reload in every selected cell; print tables and findings, write results/RUN.

    Exit codes: 0 every cell was measured (and is as --expect has it), 1 an expectation was not
    met, 2 a mistake was found before anything booted, 3 some cell could not be measured,
    130 interrupted.
    """
    with orderly(is_verbose=verbose, is_quiet=quiet):
        from hatester.cli.options import Flags
        from hatester.commands.runs import measure_matrix
        from hatester.matrix.plan import Wanted

        measure_matrix(
            read_settings(c.config),
            Wanted(kernel, haproxy, setting, scenario, method, only, skip, upgrade_to),
            Flags(
                matrix=matrix, shard=shard, repeat=repeat, seed=seed, clock=clock,
                probe_interval=probe_interval, client=client, load=load, jobs=jobs,
                time_limit=time_limit, keep=keep, resume=resume, failed=failed, expect=expect,
                config=config, after=after, file=file, env=env, advise=advise, host=host,
                table_format=table_format,
            ),
            is_dry=dry_run or c.config.run.dry,
        )  # fmt: skip


@command(iterable=["kernel"], help={
    "cell": "The id of a cell, as `invoke plan` lists them; any that the matrix declares.",
    "kernel": "The word of --kernel that described the cell's kernel, if it is not declared.",
    "step": "The number of the step after which to stop, instead of the last.",
    "verbose": VERBOSE,
})  # fmt: skip
def shell(
    c: Context, cell: str, kernel: Sequence[str], step: str = "", verbose: bool = False
) -> None:
    """Take a guest to a step of a cell and open a shell in it: `invoke shell CELL --step 4`."""
    with orderly(is_verbose=verbose):
        from hatester.commands.runs import enter_cell

        enter_cell(read_settings(c.config), cell, kernel, step)


@command(iterable=[*NAMES, "seed"], help={
    **SELECT,
    "bad": "The mildest outcome that is bad: lossy, outage (the default) or down.",
    "repeat": "Measurements of each cell, with the seeds from 0 on; one bad one is enough.",
    "seed": SEED,
    "clock": CLOCK,
    "quiet": QUIET,
    "verbose": VERBOSE,
})  # fmt: skip
def bisect(
    c: Context, kernel: Sequence[str], haproxy: Sequence[str], upgrade_to: Sequence[str],
    setting: Sequence[str], scenario: Sequence[str], method: Sequence[str], only: Sequence[str],
    skip: Sequence[str],
    seed: Sequence[str], matrix: str = "default", bad: str = "outage", repeat: str = "",
    clock: str = "auto", quiet: bool = False, verbose: bool = False,
) -> None:  # fmt: skip
    """Measure cells for `git bisect run`: `invoke bisect --haproxy mine --kernel 6.1`.

    Exit codes: 0 good, 1 bad, 125 skip this commit since it could not be measured, 129 a mistake
    in a file or flag and 130 interrupted, with both of which git stops.
    """
    with orderly(STOP_BISECTION, SKIP_COMMIT, STOP_BISECTION, is_verbose=verbose, is_quiet=quiet):
        from hatester.cli.options import Flags
        from hatester.commands.runs import bisect_commit
        from hatester.matrix.plan import Wanted

        wanted = Wanted(kernel, haproxy, setting, scenario, method, only, skip, upgrade_to)
        bisect_commit(
            read_settings(c.config),
            wanted,
            Flags(matrix=matrix, repeat=repeat, seed=seed, clock=clock),
            bad,
        )


@command(help={
    "run": "A run by its name, such as latest, or by its folder.",
    "against": "An earlier run; the reports then have the changes from it.",
    "recompute": "Judge the cells again by their stored evidence; needs no guest.",
    "table_format": TABLE_FORMAT,
})  # fmt: skip
def report(
    c: Context,
    run: str,
    against: str = "",
    recompute: bool = False,
    table_format: str = "plain",
) -> None:
    """Show a stored run again, and write its reports: `invoke report latest`."""
    with orderly():
        from hatester.commands.runs import show_stored

        show_stored(run, against, table_format, is_recomputed=recompute)


@command(help={
    "cell": "The id of a measured cell.",
    "folder": "Where to write it: a new folder, or an empty one.",
    "run": "The run that has the cell, by its name or its folder.",
})  # fmt: skip
def export(c: Context, cell: str, folder: str, run: str = "latest") -> None:
    """Write a cell as a script and a Dockerfile for a bug report: `invoke export CELL FOLDER`.

    They need neither hatester nor a virtual machine.
    """
    with orderly():
        from hatester.commands.runs import export_cell

        export_cell(cell, folder, run)


@command(iterable=["run"], help={
    "run": "A run by its name or its folder; the next ones follow it.",
    "expect": "What the merged run must agree with, as for `invoke matrix`.",
    "table_format": TABLE_FORMAT,
})  # fmt: skip
def merge(c: Context, run: Sequence[str], expect: str = "", table_format: str = "plain") -> None:
    """Make one run of several, such as those of all shards: `invoke merge shard-*/`.

    They must be runs of one plan, with the same matrix, seeds and clock. The merged run is the
    newest one then, and `invoke matrix --resume` measures cells that none of them has. Exit codes:
    as of `invoke matrix`; 2 also where runs differ.
    """
    with orderly():
        from hatester.commands.runs import merge_runs

        merge_runs(run, expect, table_format)


@command(help={
    "before": "The earlier run, by its name or its folder.",
    "after": "The later run, such as latest.",
})  # fmt: skip
def compare(c: Context, before: str, after: str) -> None:
    """Print the changes from one run to another, beyond the noise: `invoke compare A B`.

    Exit codes: 0 nothing got worse, 1 something did, 3 the later run could not measure what the
    earlier one could.
    """
    with orderly():
        from hatester.commands.runs import compare_runs

        compare_runs(before, after)


@command(iterable=["config"], help={
    "host": "As for ssh: a name of your ~/.ssh/config, a host name, USER@HOST.",
    "port": "Its SSH port, instead of the one that your SSH configuration says.",
    "user": "The user to log in as, instead of the one that your SSH configuration says.",
    "as_": "The name to keep it under, instead of HOST.",
    "config": "HAProxy's configuration there, a file or a folder, where neither its unit nor its "
    "process names it (repeatable).",
    "ssh_config": "An SSH configuration instead of your own, as `ssh -F` has it.",
})  # fmt: skip
def capture(
    c: Context, host: str, config: Sequence[str], port: str = "", user: str = "", as_: str = "",
    ssh_config: str = "",
) -> None:  # fmt: skip
    """Copy a production host's configuration, without its secrets: `invoke capture HOST`.

    The host is only read, by SSH as you have it configured; root is not needed. Files that cannot
    be read are reported. Exit codes: 0, or 2: the host is unknown, refuses you, or has no HAProxy.
    """
    with orderly():
        from hatester.commands.artifacts import capture_host

        capture_host(host, as_, user, port, ssh_config, config)


@command(iterable=NAMES, help={
    **SELECT,
    "shard": SHARD,
    "json": "As JSON, a list of cells.",
    "quiet": QUIET,
})  # fmt: skip
def plan(
    c: Context, kernel: Sequence[str], haproxy: Sequence[str], upgrade_to: Sequence[str],
    setting: Sequence[str], scenario: Sequence[str], method: Sequence[str], only: Sequence[str],
    skip: Sequence[str],
    matrix: str = "default", shard: str = "", json: bool = False, quiet: bool = False,
) -> None:  # fmt: skip
    """List the cells that `invoke matrix` would run with the same flags; boots nothing.

    On standard error, it estimates the run: guests, minutes, and MB on the disk. The figures come
    from the newest run and the cache, or else from typical runs.
    """
    with orderly(is_quiet=quiet):
        from hatester.commands.plan import list_cells
        from hatester.matrix.plan import Wanted

        wanted = Wanted(kernel, haproxy, setting, scenario, method, only, skip, upgrade_to)
        list_cells(read_settings(c.config), wanted, matrix, shard, is_json=json)


@command(name="list", help={
    "kind": f"One of: {listed('list kind')}.",
    "json": "As JSON: a list; of all, a list for each kind.",
})  # fmt: skip
def list_(c: Context, kind: str, json: bool = False) -> None:
    """List what there is of a kind, one line each: `invoke list scenarios`."""
    with orderly():
        from hatester.commands.listing import list_kind

        list_kind(kind, is_json=json)


@command(help={
    "kind": f"One of: {listed('init kind')}.",
    "name": "Its name: up to a hundred letters, digits and .+_-.",
})  # fmt: skip
def init(c: Context, kind: str, name: str) -> None:
    """Write a commented scenario, matrix or expectation to start from: `invoke init matrix mine`.

    It works as it is. Existing files are never overwritten.
    """
    with orderly():
        from hatester.commands.init import write_new

        write_new(kind, name)


@command(name="completion", help={"show": "Print the script; install nothing."})
def completion_(c: Context, show: bool = False) -> None:
    """Install completion for bash: commands, flags and names of ./bootstrap invoke and hatester.

    The script goes where bash-completion finds it. Without bash-completion, put this line into
    ~/.bashrc: `source <(./bootstrap invoke completion --show)`.
    """
    with orderly():
        from hatester.cli.completion import install

        install(is_shown=show)


@command(help={"json": JSON})
def doctor(c: Context, json: bool = False) -> None:
    """Check that everything that a run needs is there, and print what to do about the rest."""
    with orderly():
        from hatester.commands.runs import examine_host

        examine_host(read_settings(c.config), is_json=json)


@command(aliases=["images"], iterable=["kernel"], help={
    "kernel": f"{KERNEL}, instead of all declared ones (repeatable).",
    "refresh": "Ask the mirror for newer versions, instead of using existing ones.",
    "quiet": QUIET,
})  # fmt: skip
def make_images(
    c: Context, kernel: Sequence[str], refresh: bool = False, quiet: bool = False
) -> None:
    """Make the guest images: a kernel kit each, and one system. Existing ones are used again."""
    with orderly(is_quiet=quiet):
        from hatester.commands import artifacts

        artifacts.make_images(read_settings(c.config), kernel, refresh)


@command(aliases=["builds"], iterable=["haproxy"], help={
    "haproxy": f"A build of matrix/haproxy.yml, instead of all, or {DESCRIBED} (repeatable).",
    "refresh": "Ask the mirror for newer versions, instead of using existing ones.",
    "quiet": QUIET,
})  # fmt: skip
def make_builds(
    c: Context, haproxy: Sequence[str], refresh: bool = False, quiet: bool = False
) -> None:
    """Make the HAProxy builds. Existing ones are used again."""
    with orderly(is_quiet=quiet):
        from hatester.commands import artifacts

        artifacts.make_builds(read_settings(c.config), haproxy, refresh)


@command(aliases=["versions"], iterable=["haproxy"], help={
    "haproxy": f"A build of matrix/haproxy.yml, instead of all, or {DESCRIBED} (repeatable).",
    "json": JSON,
})  # fmt: skip
def list_releases(c: Context, haproxy: Sequence[str], json: bool = False) -> None:
    """List builds, and the newest release of their branches in HAProxy's own index."""
    with orderly():
        from hatester.commands.artifacts import list_versions

        list_versions(read_settings(c.config), haproxy, is_json=json)


@command(aliases=["kernels"], iterable=["suite", "flavour"], help={
    "suite": "A suite of Debian, instead of those of matrix/kernels.yml (repeatable).",
    "flavour": f"A flavour, instead of all: {listed('flavour')} (repeatable).",
    "refresh": "Ask the mirror for newer versions.",
    "json": JSON,
})  # fmt: skip
def list_mirror(
    c: Context, suite: Sequence[str], flavour: Sequence[str], refresh: bool = False,
    json: bool = False,
) -> None:  # fmt: skip
    """List the kernels of the mirror, from the oldest to the newest of each suite."""
    with orderly():
        from hatester.commands.artifacts import list_kernels

        list_kernels(read_settings(c.config), suite, flavour, refresh, is_json=json)


@command(iterable=["part"], help={
    "part": f"Measure only this part, instead of all: {listed('bench part')} (repeatable).",
    "clock": CLOCK,
    "quiet": QUIET,
})  # fmt: skip
def bench(c: Context, part: Sequence[str], clock: str = "auto", quiet: bool = False) -> None:
    """Measure the speed of this host; print a table, write results/bench/TIME.json."""
    with orderly(is_quiet=quiet):
        from hatester.runner.bench import bench

        bench(read_settings(c.config), part, clock)


@command(iterable=["part"], help={
    "part": "Clean only this part, instead of all of the cache: "
    f"{listed('clean part')} (repeatable).",
    "older_than": "Only entries not used for this time, such as 12h, 30d (the default), 2w or 0.",
    "dry_run": "List what would be removed, and remove nothing.",
    "json": "As JSON, a list of entries, with bytes and with seconds since the last use.",
})  # fmt: skip
def clean(
    c: Context, part: Sequence[str], older_than: str = "30d", dry_run: bool = False,
    json: bool = False,
) -> None:  # fmt: skip
    """Remove entries not used for 30 days from the cache, or from results: `--part results`.

    Keys, the newest run, and what a guest needs stay. Exit codes: 0; 2 the cache is in use, or
    something could not be removed.
    """
    with orderly():
        from hatester.commands.artifacts import clean

        clean(part, older_than, is_dry=dry_run or c.config.run.dry, is_json=json)
