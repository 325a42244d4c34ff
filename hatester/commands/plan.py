"""The command `plan`, which needs no machine library and imports none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from hatester.analysis.outcomes import left_out
from hatester.matrix.conflicts import find_conflicts
from hatester.matrix.declarations import Matrix, load_matrix
from hatester.matrix.kernel_spec import Kernels, with_kernels
from hatester.matrix.plan import Plan, Task, Wanted, make_plan
from hatester.matrix.shards import choose_shard, plan_tasks
from hatester.runner.estimate import estimate
from hatester.util.paths import MATRIX, RESULTS
from hatester.util.settings import Settings

log = logging.getLogger(__name__)


def kernels_of(settings: Settings) -> Kernels:
    """Return the lookup of kernels; it imports what it needs only where one is not declared."""

    def lookup() -> Kernels:
        from hatester.artifacts import kernel_source  # noqa: PLC0415 # see above

        return kernel_source.kernels_of(settings)

    return Kernels(
        lambda suite: lookup().of_suite(suite), lambda kernel: lookup().local_release(kernel)
    )


def plan_cells(settings: Settings, wanted: Wanted, matrix: str) -> Plan:
    """Return the plan of a matrix file and what is selected from it."""
    plan = make_plan(*with_kernels(load_matrix(MATRIX, matrix), wanted, kernels_of(settings)))
    require_described(settings, plan.matrix, plan.builds)
    return plan


def require_described(settings: Settings, matrix: Matrix, builds: Iterable[str]) -> None:
    """Raise UserError for a build that --haproxy describes and that cannot be had."""
    described = {
        word: matrix.builds[name]
        for name, word in matrix.described_builds.items()
        if name in builds
    }
    if described:
        from hatester.artifacts import haproxy  # noqa: PLC0415 # as above
        from hatester.artifacts.apt import debian  # noqa: PLC0415 # as above

        haproxy.require_builds(lambda: debian(settings), described)


def list_cells(
    settings: Settings, wanted: Wanted, matrix: str, shard: str, *, is_json: bool
) -> None:
    """Print the cells that a run with the same flags would have, and log an estimate."""
    part = choose_shard(shard)
    plan = plan_cells(settings, wanted, matrix)
    if omissions := left_out(plan.left_out):
        log.info(omissions)
    for conflict in find_conflicts(plan):
        log.warning(conflict)
    tasks = plan_tasks(plan.cells, 1, part)
    if is_json:
        cells = [{"id": cell.id, **asdict(cell)} for cell, _ in tasks]
        print(json.dumps(cells, indent=1), flush=True)
    else:
        print_ids(tasks)
    log_estimate(plan, tasks)


def print_ids(tasks: Sequence[Task]) -> None:
    """Print the id of each cell, one a line."""
    cells = dict.fromkeys(cell for cell, _ in tasks)
    print("".join(f"{cell.id}\n" for cell in cells), end="", flush=True)


def log_estimate(plan: Plan, tasks: Sequence[Task], clock: str = "auto") -> None:
    """Log about how long a run of some tasks of a plan takes, and how much room on the disk."""
    if not tasks:
        log.info("no cells")
        return
    needed = plan.of_kernels({cell.kernel for cell, _ in tasks})
    log.info(str(estimate(needed, tasks, clock, RESULTS)))
