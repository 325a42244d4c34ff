"""Stored runs, made up: what a page is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatester.analysis.cell_verdict import judge
from hatester.analysis.model import GuestBuild, GuestKernel, Measurement
from hatester.analysis.timeline import read
from hatester.matrix.plan import Cell, cell_of
from hatester.results.store import Results, begin
from hatester.runner.cell import not_measured
from tests.factories.evidence import (
    A44,
    AT,
    LABELS,
    MASTER,
    NEW,
    OLD,
    everywhere,
    evidence,
    held,
    reload,
)

HOST = {"system": "Linux-6.1", "processors": 2, "qemu": "QEMU 7.2"}
CHECK = {
    "step": 7,
    "reload": 6,
    "at": 2.0,
    "outcomes": dict.fromkeys(LABELS, "refused"),
    "outside": dict.fromkeys(LABELS, "empty"),
}
STEPS = [
    {"step": 1, "verb": "start", "what": "without", "at": 0.0},
    {"step": 6, "verb": "reload", "what": "with", "at": AT},
    {"step": 7, "verb": "check", "what": None, "at": AT + 2},
]
OWNERS = held((0.0, 1.25, (OLD,)), (1.25, 3.1, (MASTER,), 116), (3.2, 9.0, (OLD, NEW)))
ALERT = "[ALERT] 328/211821 (290) : cannot bind socket [192.168.42.43:80]"

EVIDENCE = {
    "ok": evidence(),
    "lossy": evidence({A44: [(2.0, 2.019, "reset")]}),
    "outage": evidence(everywhere((AT, AT + 2, "refused")), log=[(3.1, ALERT)], listeners=OWNERS),
    "down": evidence(everywhere((AT, 9.0, "refused"))),
    "silent": evidence(
        everywhere((AT, 9.0, "refused")), reloads=[reload(reported="success")], listeners=OWNERS
    ),
}


def measured(
    cell: Cell, timeline: Mapping[str, Any], repetition: int = 1, console: str = ""
) -> Measurement:
    """Return a cell as it comes from a guest, with steps and a check."""
    timeline_ = read(json.loads(json.dumps({**timeline, "steps": STEPS, "checks": [CHECK]})))
    head = not_measured(cell, repetition, "").cell.model_copy(
        update={
            "seed": timeline_.seed,
            "kernel": GuestKernel(name=cell.kernel, release="6.1.0-50", accelerator="tcg"),
            "haproxy": GuestBuild(name=cell.build, version="2.2.9"),
            "clock": timeline_.clock,
            "cpus": 2,
        }
    )
    return Measurement(head.with_judgement(judge(timeline_)), timeline_, console)


def stored(
    folder: Path,
    results: Sequence[Measurement],
    left_out: Sequence[tuple[Cell, str]] = (),
    seeds: Sequence[int] = (0,),
) -> Results:
    """Return a run of these results."""
    cells = [cell_of(result.cell.id) for result in results]
    run = begin(folder, HOST, cells, left_out, seeds)
    for result in results:
        run.add(result)
    return run


def varied(folder: Path, seeds: Sequence[int] = (0,)) -> Results:
    """Two kernels, two builds, two scenarios; each kind of cell once at least."""
    lost = [
        measured(Cell(kernel, build, "plain", "lost-address", "signal"), EVIDENCE[kind])
        for kernel, build, kind in (
            ("5.10", "2.2", "outage"),
            ("5.10", "3.0", "lossy"),
            ("6.1", "2.2", "outage"),
            ("6.1", "3.0", "down"),
        )
    ]
    returns = [
        measured(Cell("5.10", "2.2", "plain", "address-returns", "signal"), EVIDENCE["ok"]),
        measured(Cell("6.1", "2.2", "plain", "address-returns", "signal"), EVIDENCE["silent"]),
        not_measured(Cell("6.1", "3.0", "plain", "address-returns", "signal"), 1, "no image"),
    ]
    unfit = Cell("6.1", "2.2", "no-fd-passing", "lost-address", "signal")
    return stored(folder, [*lost, *returns], [(unfit, "no-fd-passing needs HAProxy 3.0")], seeds)
