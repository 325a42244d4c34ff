"""Tables of a run's cells, for people."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from hatester.verdict import failures

Entry = Mapping[str, Any]


def tables(cells: Sequence[Entry]) -> str:
    """One table per setting, scenario and method: kernels down, HAProxy across.

    A cell says `ok`, `error`, or what failed at the check after the last reload.
    """
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for cell in cells:
        groups.setdefault((cell["setting"], cell["scenario"], cell["method"]), []).append(cell)
    return "\n\n".join(
        f"{scenario} by {method}, {setting}\n\n{_table(group)}"
        for (setting, scenario, method), group in groups.items()
    )


def _table(cells: Sequence[Entry]) -> str:
    kernels = list(dict.fromkeys(cell["kernel"]["name"] for cell in cells))
    builds = list(dict.fromkeys(cell["haproxy"]["name"] for cell in cells))
    texts = {(cell["kernel"]["name"], cell["haproxy"]["name"]): _text(cell) for cell in cells}
    rows = [[kernel, *(texts.get((kernel, build), "") for build in builds)] for kernel in kernels]
    return tabulate(
        rows, headers=["Linux", *(f"HAProxy {build}" for build in builds)], disable_numparse=True
    )


def _text(cell: Entry) -> str:
    """What failed after the last reload; where nothing did then, that something did earlier."""
    if cell["verdict"] != "down":
        verdict: str = cell["verdict"]
        return verdict
    failed = failures(cell["checks"][-1])
    if not failed:
        return "failed earlier"
    names = short_names(cell["checks"][-1]["outcomes"])
    return "\n".join(
        f"{outcome} {' '.join(names[label] for label in labels)}"
        for outcome, labels in failed.items()
    )


def short_names(labels: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Addresses as people speak of them, `.44` and `:81`, where that is clear; else in full."""
    short = {label: _short(label) for label in labels}
    is_clear = len(set(short.values())) == len(short)
    return short if is_clear else {label: label for label in labels}


def _short(label: str) -> str:
    address, _, port = label.rpartition(":")
    if address == "*":
        return f":{port}"
    separator = ":" if ":" in address else "."
    return separator + address.rpartition(separator)[2]


def errors(cells: Sequence[Entry]) -> str:
    """Why cells could not be measured, each reason once, with the cells that it cost."""
    by_reason = {
        reason: [cell["id"] for cell in group]
        for reason, group in itertools.groupby(
            sorted((cell for cell in cells if cell["error"]), key=lambda cell: cell["error"]),
            key=lambda cell: str(cell["error"]),
        )
    }
    return "\n".join(
        f"not measured: {', '.join(ids)}\n  because {reason}" for reason, ids in by_reason.items()
    )
