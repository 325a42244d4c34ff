"""Measured cells, made up: by evidence that is judged, or by what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hatester.analysis.cell_verdict import unmeasured
from hatester.analysis.model import (
    CellResult,
    GuestBuild,
    GuestKernel,
    HostSummary,
    Judgement,
    Measurement,
    Omission,
    Quality,
    RunResult,
)
from hatester.analysis.outcomes import lines
from hatester.analysis.reload_model import AddressResult, ReloadResult
from hatester.analysis.timeline import read
from hatester.matrix.plan import cell_of
from hatester.results.store import Results, begin
from tests.factories.evidence import A43, A44, Failures, evidence, judge, reload

ID = "6.1/2.2/plain/lost-address/signal"
NOTHING = read(evidence(labels=[], reloads=[]))
"""A timeline in which nothing happened."""


def cell_result(id_: str, judgement: Judgement, repetition: int = 1, **changes: Any) -> CellResult:
    """Return a measured cell with a judgement, with some things changed."""
    kernel, build, setting, scenario, method = id_.split("/")
    release = f"{kernel}.0-1-cloud-amd64"
    return CellResult.model_validate(
        {
            "id": id_,
            "repetition": repetition,
            "seed": repetition - 1,
            "setting": setting,
            "scenario": scenario,
            "method": method,
            "kernel": GuestKernel(name=kernel, release=release, accelerator="tcg"),
            "haproxy": GuestBuild(name=build, version=f"{build}.9"),
            "clock": "real",
            "cpus": 2,
            "seconds": 9.0,
            **dict(judgement),
            **changes,
        }
    )


def table_line(judgement: Judgement) -> str:
    """Return the line of a table for a cell with a judgement."""
    [line] = lines([cell_result(ID, judgement)])
    return line


def cell(
    kernel: str,
    build: str,
    failures: Failures,
    *,
    scenario: str = "lost-address",
    setting: str = "plain",
    method: str = "signal",
    repetition: int = 1,
    reported: str | None = "failure",
    late: float = 0.0,
) -> CellResult:
    """Return a cell judged by made-up evidence."""
    found = judge(evidence(failures, reloads=[reload(reported=reported)], late=late))
    return cell_result(f"{kernel}/{build}/{setting}/{scenario}/{method}", found, repetition)


def error(kernel: str, build: str, scenario: str = "lost-address") -> CellResult:
    """Return a cell whose build could not be had."""
    id_ = f"{kernel}/{build}/plain/{scenario}/signal"
    return unmeasured_cell("the mirror has no suite bullseye", id_)


def unmeasured_cell(reason: str = "the guest died", id_: str = ID) -> CellResult:
    """Return a cell that could not even begin."""
    kernel = GuestKernel(name=id_.split("/", maxsplit=1)[0], release=None)
    return cell_result(id_, unmeasured(reason), kernel=kernel, clock=None, cpus=None)


def shown(
    verdict: str = "ok",
    *,
    id_: str = ID,
    repetition: int = 1,
    seed: int | None = None,
    clock: str = "real",
    cpus: int = 2,
    silent: bool = False,
    seconds: float = 0.0,
    lost: int = 0,
    probes: int = 1000,
    interval: float = 0.02,
    lateness: float = 0.0,
    release: str = "6.1.0-49-cloud-amd64",
    accelerator: Literal["kvm", "tcg"] = "tcg",
) -> CellResult:
    """Return a cell of one reload; .44 should have answered, unless `unasked`, and .43 was away."""
    is_asked = verdict != "unasked"
    asked = _address(is_asked, verdict if is_asked else None, seconds, lost, probes)
    addresses = {A43: _address(False, None, 9.0, 500, probes), A44: asked}
    judgement = Judgement.model_validate(
        {
            "verdict": verdict,
            "silent": silent,
            "ended": None,
            "error": None,
            "explanation": f"it is {verdict}",
            "causes": (),
            "quality": _quality(probes, interval, lateness),
            "checks": (),
            "reloads": (_reload(verdict, silent, addresses),),
        }
    )
    name = id_.split("/", maxsplit=1)[0]
    kernel = GuestKernel(name=name, release=release, accelerator=accelerator)
    seeded = {} if seed is None else {"seed": seed}
    return cell_result(id_, judgement, repetition, clock=clock, cpus=cpus, kernel=kernel, **seeded)


def _quality(probes: int, interval: float, lateness: float) -> Quality:
    return Quality(
        verdict="late" if lateness > interval else "good",
        interval=interval,
        lateness_p50=lateness,
        lateness_p99=lateness,
        lateness_max=lateness,
        probes=2 * probes,
        burden=0.1,
    )


def _reload(verdict: str, silent: bool, addresses: dict[str, AddressResult]) -> ReloadResult:
    return ReloadResult.model_validate(
        {
            "step": 6,
            "config": "with",
            "gap": None,
            "reported": "success" if silent else "failure",
            "reported_at": 2.0,
            "true": not silent,
            "verdict": verdict,
            "silent": silent,
            "seconds": 5.0,
            "steady": True,
            "overtaken": False,
            "exit_code": None,
            "answer": None,
            "processes": None,
            "counters": {},
            "listeners": (),
            "addresses": addresses,
        }
    )


def _address(
    expected: bool, verdict: str | None, seconds: float, lost: int, probes: int
) -> AddressResult:
    return AddressResult.model_validate(
        {
            "expected": expected,
            "verdict": verdict,
            "outage_seconds": seconds,
            "outages": (),
            "first_failure": None,
            "last_failure": None,
            "probes": probes,
            "failures": {"refused": lost} if lost else {},
            "slowest": None,
            "answers": {},
        }
    )


def run_of(*cells: CellResult, planned: Sequence[str] = ()) -> RunResult:
    """Return a run of these cells; without `planned`, they are all that was planned."""
    repeat = max((cell.repetition for cell in cells), default=1)
    return RunResult.model_validate(
        {
            "schema": 1,
            "run": "20260101-000000",
            "started": "2026-01-01T00:00:00+00:00",
            "finished": None,
            "host": {},
            "planned": tuple(planned or dict.fromkeys(cell.id for cell in cells)),
            "seeds": tuple(range(repeat)),
            "repeat": repeat,
            "clock": "real",
            "probe_interval": None,
            "left_out": (),
            "cells": cells,
        }
    )


def unwritten(*cells: CellResult, planned: Sequence[str] = ()) -> Results:
    """Return a run as it is stored; nothing is written."""
    content = run_of(*cells, planned=planned).model_copy(
        update={
            "run": "20261125-120000",
            "started": "2026-11-25T12:00:00+00:00",
            "host": HostSummary(qemu="QEMU emulator version 7.2"),
            "clock": "virtual",
            "left_out": (
                Omission(id="5.10/2.2/migrate-req/hitless/signal", reason="it makes no sense"),
            ),
        }
    )
    return Results(Path("results/20261125-120000"), content)


def stored(parent: Path, *cells: CellResult, planned: Sequence[str] = ()) -> Results:
    """Return a run in a folder of `parent`, whose cells have a timeline in which nothing happened.

    Without `planned`, they are all that was planned.
    """
    ids = planned or list(dict.fromkeys(cell.id for cell in cells))
    repeat = max((cell.repetition for cell in cells), default=1)
    results = begin(parent, {}, [cell_of(id_) for id_ in ids], seeds=range(repeat))
    for cell in cells:
        results.add(Measurement(cell, NOTHING if cell.is_measured else None))
    results.write()
    return results
