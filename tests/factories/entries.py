"""Cells as `run.json` has them, made up from what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatester.analysis.model import Result
from hatester.matrix.plan import cell_of
from hatester.results.store import Results, begin
from tests.factories.evidence import A43, A44

ID = "6.1/2.2/plain/lost-address/signal"


def entry(
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
    accelerator: str = "tcg",
) -> dict[str, Any]:
    """Return a measured cell of one reload, in which .44 should have answered and .43 was away."""
    head = _head(id_, repetition, release, accelerator)
    if seed is not None:
        head["seed"] = seed
    return head | {
        "clock": clock,
        "cpus": cpus,
        "verdict": verdict,
        "silent": silent,
        "ended": None,
        "error": None,
        "explanation": f"it is {verdict}",
        "quality": {
            "verdict": "late" if lateness > interval else "good",
            "interval": interval,
            "lateness_p50": lateness,
            "lateness_p99": lateness,
            "lateness_max": lateness,
            "probes": 2 * probes,
            "burden": 0.1,
        },
        "checks": [],
        "reloads": [
            {
                "step": 6,
                "config": "with",
                "reported": "success" if silent else "failure",
                "reported_at": 2.0,
                "true": not silent,
                "gap": None,
                "verdict": verdict,
                "silent": silent,
                "seconds": 5.0,
                "steady": True,
                "exit_code": None,
                "answer": None,
                "processes": None,
                "counters": {},
                "listeners": [],
                "addresses": {
                    A43: _address(False, None, 9.0, 500, probes),
                    A44: _address(True, verdict, seconds, lost, probes),
                },
            }
        ],
    }


def stored(parent: Path, *cells: dict[str, Any], planned: Sequence[str] = ()) -> Results:
    """Return a run in a folder of `parent`; by default these cells are all that was planned."""
    ids = planned or list(dict.fromkeys(cell["id"] for cell in cells))
    repeat = max((cell["repetition"] for cell in cells), default=1)
    results = begin(parent, {}, [cell_of(id_) for id_ in ids], seeds=range(repeat))
    for cell in cells:
        results.add(Result(cell))
    return results


def _address(
    expected: bool, verdict: str | None, seconds: float, lost: int, probes: int
) -> dict[str, Any]:
    return {
        "expected": expected,
        "verdict": verdict,
        "outage_seconds": seconds,
        "outages": [],
        "first_failure": None,
        "last_failure": None,
        "probes": probes,
        "failures": {"refused": lost} if lost else {},
        "slowest": None,
        "answers": {},
    }


def unmeasured(reason: str = "the guest died", id_: str = ID) -> dict[str, Any]:
    """Return a cell that could not begin."""
    return _head(id_, 1, None, None) | {
        "clock": None,
        "cpus": None,
        "verdict": "error",
        "silent": None,
        "ended": None,
        "error": reason,
        "explanation": reason,
        "quality": None,
        "checks": [],
        "reloads": [],
    }


def _head(
    id_: str, repetition: int, release: str | None, accelerator: str | None
) -> dict[str, Any]:
    kernel, build, setting, scenario, method = id_.split("/")
    return {
        "id": id_,
        "repetition": repetition,
        "seed": repetition - 1,
        "setting": setting,
        "scenario": scenario,
        "method": method,
        "seconds": 9.0,
        "kernel": {"name": kernel, "release": release}
        | ({"accelerator": accelerator} if accelerator else {}),
        "haproxy": {"name": build, "version": f"{build}.9"},
    }
