"""Made-up evidence of a cell: a schedule of probes, and their failures."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hatester.analysis import cell_verdict
from hatester.analysis.model import Judgement
from hatester.analysis.timeline import read

A43, A44, A45, STATS = LABELS = (
    "192.168.42.43:80",
    "192.168.42.44:80",
    "192.168.42.45:80",
    "*:81",
)
CONFIGURATIONS = {"with": list(LABELS), "without": [A44, A45, STATS]}
AT = 1.2
UNTIL = 5.2
OLD, MASTER, NEW, STRANGER = 431, 412, 455, 77
PROCESSES = [
    {"pid": MASTER, "kind": "master", "start": 0.0, "end": 9.0},
    {"pid": OLD, "kind": "worker", "start": 0.0, "end": 9.0},
    {"pid": NEW, "kind": "worker", "start": 1.25, "end": 4.0},
    {"pid": STRANGER, "kind": "stranger", "start": 0.5, "end": 9.0},
]
QUIET = {
    "life": 5.0,
    "configurations": CONFIGURATIONS,
    "sampling": {"interval": 0.05, "samples": 120, "cpu_seconds": 0.1, "seconds": 6.0},
    "steps": [{"step": 1, "verb": "start", "what": "without", "at": 0.0, "commands": []}],
    "checks": [],
    "ended": None,
    "lacking": [],
}
"""The part of the evidence that all cells have alike."""
COUNTERS = {"TcpExt.ListenOverflows": 0}

Failures = Mapping[str, Sequence[tuple[float, float, str]]]
MISSING: Failures = {A43: [(0.0, math.inf, "unreachable")]}


def reload(**changes: Any) -> dict[str, Any]:
    """Return a failing reload to `with` while .43 is missing, with some things changed."""
    if changes.get("reported", "failure") is None:
        changes.setdefault("reported_at", None)
    return {
        "step": 6,
        "config": "with",
        "at": AT,
        "until": UNTIL,
        "present": [A44, A45, STATS],
        "in_the_end": [A44, A45, STATS],
        "gap": None,
        "reported": "failure",
        "reported_at": AT + 2.05,
        "steady": True,
        "exit_code": None,
        "answer": None,
        "processes": None,
        "counters": COUNTERS,
    } | changes


def workers(*workers: tuple[int, float, float]) -> list[dict[str, Any]]:
    """Return a master, and workers by their pid, first and last moment."""
    found = [{"pid": MASTER, "kind": "master", "start": 0.0, "end": 6.0}]
    return found + [
        {"pid": pid, "kind": "worker", "start": start, "end": end} for pid, start, end in workers
    ]


def listener(label: str, start: float, end: float, *pids: int, queue: int = 0) -> dict[str, Any]:
    return {"address": label, "pids": list(pids), "start": start, "end": end, "queue": queue}


def held(*stretches: tuple[Any, ...], labels: Sequence[str] = LABELS[1:]) -> list[dict[str, Any]]:
    """Return the same stretches (start, end, pids, queue) for several addresses."""
    return [
        listener(label, start, end, *pids, queue=queue[0] if queue else 0)
        for label in labels
        for start, end, pids, *queue in stretches
    ]


def evidence(
    failures: Failures | None = None,
    *,
    reloads: Sequence[Mapping[str, Any]] | None = None,
    labels: Sequence[str] = LABELS,
    listeners: Sequence[Mapping[str, Any]] = (),
    answers: Sequence[tuple[float, str | None]] = ((0.0, "without"),),
    log: Sequence[tuple[float, str]] = (),
    interval: float = 0.02,
    end: float = 6.0,
    late: float = 0.0,
    takes: float = 0.001,
    burden: float = 0.1,
    seed: int = 0,
    clock: str = "real",
    processes: Sequence[Mapping[str, Any]] = PROCESSES,
) -> dict[str, Any]:
    """Return the content of `timeline.json`.

    `failures` are, by address, the stretches in which probes fail, and how; .43 is not there.
    `answers` are the configurations that answer, each with the time from which on.
    """
    windows = {**MISSING, **(failures or {})}
    return copy.deepcopy(QUIET) | {
        "seed": seed,
        "clock": clock,
        "interval": interval,
        "addresses": list(labels),
        "probes": [
            _probe(index, at, at + late, takes, windows, labels, answers)
            for number in range(int(end / interval))
            for index in range(len(labels))
            for at in [number * interval + index * interval / len(labels)]
        ],
        "listeners": list(listeners),
        "processes": list(processes),
        "probing": {"cpu_seconds": burden * 12.0, "seconds": 6.0, "processors": 2},
        "log": [list(line) for line in log],
        "reloads": [reload()] if reloads is None else list(reloads),
    }


def _probe(
    index: int, due: float, sent: float, takes: float,
    windows: Failures, labels: Sequence[str], answers: Sequence[tuple[float, str | None]],
) -> list[Any]:  # fmt: skip
    stretches = windows.get(labels[index], ())
    outcome = next((how for start, stop, how in stretches if start <= sent < stop), "ok")
    answer = [name for since, name in answers if since <= sent][-1]
    return [index, due, sent, sent + takes, outcome, None, answer if outcome == "ok" else None]


def storm(number: int, length: float) -> list[dict[str, Any]]:
    """Return reloads `length` seconds apart, none of which waits for the one before."""
    return [
        reload(
            step=4 + each,
            config=("with", "without")[each % 2],
            at=AT + each * length,
            until=AT + (each + 1) * length,
            reported=None,
            reported_at=None,
            steady=each == number - 1,
        )
        for each in range(number)
    ]


def everywhere(*stretches: tuple[float, float, str]) -> Failures:
    """Return the same failures for all the addresses that are there."""
    return dict.fromkeys(LABELS[1:], stretches)


def judge(content: Mapping[str, Any]) -> Judgement:
    """Return the verdict on the content of `timeline.json`."""
    return cell_verdict.judge(read(content))
