"""The command `list`: what there is of a kind, one line each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tabulate import tabulate

from hatester.analysis.outcomes import OUTCOMES, outcome
from hatester.capture.captured_host import host_names, load_host
from hatester.matrix.declarations import Build, Kernel, load_matrix, matrix_names
from hatester.matrix.plan import Wanted, make_plan
from hatester.matrix.scenario import load_scenario
from hatester.results.folder import run_names
from hatester.results.store import find
from hatester.util.errors import UserError
from hatester.util.paths import HOSTS, LATEST, MATRIX, RESULTS
from hatester.util.text import counted, displayable
from hatester.util.validation import require

ALL = "all"
Row = Mapping[str, str]
"""A `name`, its `source` where it has one, and its `description`."""


def list_kind(kind: str, *, is_json: bool) -> None:
    """Print what there is of one of KINDS, or of each. Raises UserError for an unknown kind.

    A scenario, matrix, host or run that cannot be read has the reason for its description.
    """
    require(kind, (ALL, *KINDS), "list")
    found = {name: list(rows()) for name, rows in KINDS.items() if kind in (ALL, name)}
    if is_json:
        print(json.dumps(found if kind == ALL else found[kind], indent=1))
    elif kind == ALL:
        print("\n\n".join(f"{name}:\n{_table(rows, '  ')}" for name, rows in found.items()))
    else:
        print(_table(found[kind]))


def _table(rows: Iterable[Row], indent: str = "") -> str:
    table = tabulate([[*row.values()] for row in rows], tablefmt="plain", disable_numparse=True)
    return "\n".join(indent + line for line in displayable(table or "none").splitlines())


def _kernels() -> Iterable[Row]:
    for name, kernel in load_matrix(MATRIX).kernels.items():
        yield {"name": name, "source": _source(kernel), "description": kernel.description}


def _builds() -> Iterable[Row]:
    for name, build in load_matrix(MATRIX).builds.items():
        yield {"name": name, "source": _source(build), "description": build.description}


def _source(declared: Kernel | Build) -> str:
    """Return where a kernel or a build comes from, in the words of its declaration."""
    given = declared.model_dump(mode="json", exclude_defaults=True, exclude={"description"})
    return ", ".join(f"{key} {_words(value)}" for key, value in given.items())


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_words, value))
    return str(value["url"] if isinstance(value, dict) else value)


def _settings() -> Iterable[Row]:
    for name, setting in load_matrix(MATRIX).settings.items():
        yield {"name": name, "description": setting.description}


def _scenarios() -> Iterable[Row]:
    return _described(
        load_matrix(MATRIX).scenarios,
        lambda name: load_scenario(MATRIX / "scenarios" / name).description,
    )


def _matrices() -> Iterable[Row]:
    return _described(matrix_names(MATRIX), _matrix)


def _matrix(name: str) -> str:
    matrix = load_matrix(MATRIX, name)
    cells = counted(len(make_plan(matrix, Wanted()).cells), "cell")
    purposes = [each.description for each in matrix.selections if each.description]
    return f"{cells}: {'; '.join(purposes)}" if purposes else cells


def _hosts() -> Iterable[Row]:
    return _described(host_names(HOSTS), _host)


def _host(name: str) -> str:
    host = load_host(HOSTS, name)
    haproxy = host.haproxy.version or "of an unknown version"
    system = " ".join(filter(None, (host.system.id, host.system.suite)))
    return (
        f"HAProxy {haproxy}, Linux {host.kernel.release}, {system}; reloaded by {host.unit.reload}"
    )


def _runs() -> Iterable[Row]:
    names = [name for name in run_names(RESULTS) if name != LATEST]
    return _described(reversed(names), _run)


def _run(name: str) -> str:
    results = find(RESULTS, name)
    shard = f"shard {results.run.shard}: " if results.run.shard else ""
    cells = shard + (results.run.shortfall or counted(len(results.cells), "cell"))
    counts = Counter(map(outcome, results.cells))
    outcomes = [f"{counts[each]} {each}" for each in (*OUTCOMES, "error") if counts[each]]
    return f"{cells}: {', '.join(outcomes)}" if outcomes else cells


def _described(names: Iterable[str], describe: Callable[[str], str]) -> Iterable[Row]:
    for name in names:
        try:
            description = describe(name)
        except UserError as error:
            description = f"cannot be used: {error}"
        yield {"name": name, "description": description}


KINDS: Mapping[str, Callable[[], Iterable[Row]]] = {
    "kernels": _kernels,
    "builds": _builds,
    "settings": _settings,
    "scenarios": _scenarios,
    "matrices": _matrices,
    "hosts": _hosts,
    "runs": _runs,
}
