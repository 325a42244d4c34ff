"""Cells as `run.json` has them, judged by made-up evidence."""

from __future__ import annotations

from typing import Any

from hatester.analysis.verdict import judged
from tests.factories.evidence import Failures, evidence, reload


def head(
    kernel: str, build: str, scenario: str, repetition: int, setting: str, method: str
) -> dict[str, Any]:
    return {
        "id": f"{kernel}/{build}/{setting}/{scenario}/{method}",
        "repetition": repetition,
        "seed": repetition - 1,
        "clock": "real",
        "cpus": 2,
        "seconds": 9.0,
        "kernel": {"name": kernel, "release": f"{kernel}.0-1-cloud-amd64", "accelerator": "tcg"},
        "haproxy": {"name": build, "version": f"{build}.9"},
        "setting": setting,
        "scenario": scenario,
        "method": method,
    }


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
) -> dict[str, Any]:
    """Return a cell as `run.json` has it, judged by made-up evidence."""
    found = judged(evidence(failures, reloads=[reload(reported=reported)], late=late))
    return head(kernel, build, scenario, repetition, setting, method) | found


def error(kernel: str, build: str, scenario: str = "lost-address") -> dict[str, Any]:
    return head(kernel, build, scenario, 1, "plain", "signal") | {
        "clock": None,
        "cpus": None,
        "verdict": "error",
        "silent": None,
        "ended": None,
        "error": "the mirror has no suite bullseye",
        "explanation": "the mirror has no suite bullseye",
        "quality": None,
        "checks": [],
        "reloads": [],
    }
