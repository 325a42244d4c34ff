"""Cells as `run.json` has them, judged by made-up evidence."""

from __future__ import annotations

from typing import Any

from hatester.verdict import judge
from tests.unit.made_up import Failures, evidence, reload


def head(
    kernel: str, build: str, scenario: str, repetition: int, setting: str, method: str
) -> dict[str, Any]:
    return {
        "id": f"{kernel}/{build}/{setting}/{scenario}/{method}",
        "repetition": repetition,
        "kernel": {"name": kernel},
        "haproxy": {"name": build, "version": f"{build}.9"},
        "setting": setting,
        "scenario": scenario,
        "method": method,
        "error": None,
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
    reported: str = "failure",
    late: float = 0.0,
) -> dict[str, Any]:
    """A cell as `run.json` has it, judged by made-up evidence."""
    found = judge(evidence(failures, reloads=[reload(reported=reported)], late=late))
    return head(kernel, build, scenario, repetition, setting, method) | {
        "verdict": found.name,
        "silent": found.silent,
        "quality": found.quality,
        "reloads": found.reloads,
    }


def error(kernel: str, build: str, scenario: str = "lost-address") -> dict[str, Any]:
    return head(kernel, build, scenario, 1, "plain", "signal") | {
        "verdict": "error",
        "silent": None,
        "error": "the mirror has no suite bullseye",
        "quality": None,
        "reloads": [],
    }
