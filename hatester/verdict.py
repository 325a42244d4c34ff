"""Verdicts: what a cell's evidence says, and why, in one sentence. No machine is needed here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """`ok`, `down` or `error`, and its reason."""

    name: str
    explanation: str


def judge(checks: Sequence[Mapping[str, Any]], reloads: Sequence[Mapping[str, Any]]) -> Verdict:
    """The verdict on the checks of a cell: `down` if an address failed that should have answered.

    An address that does not even answer before the first reload makes it an `error`, since then
    no reload was measured.
    """
    reloaded = [check for check in checks if check["reload"]]
    for check in checks:
        if not check["reload"] and (failed := failures(check)):
            return Verdict("error", f"before any reload, {_sentence(failed)}")
    if not reloaded:
        return Verdict("error", "no check came after a reload")
    stories = [
        f"{check['at']:.1f} s after the reload of step {check['reload']}, {_sentence(failed)}"
        for check in reloaded
        if (failed := failures(check))
    ]
    if stories:
        return Verdict("down", "; ".join(stories))
    explanation = "every address that should have answered did, at every check"
    for reload in reloads:
        if reload.get("reported") == "failure":
            explanation += (
                f", though HAProxy reported that the reload of step {reload['step']} failed"
            )
    return Verdict("ok", explanation)


def failures(check: Mapping[str, Any]) -> dict[str, list[str]]:
    """The addresses that should have answered a check and did not, by outcome."""
    failed: dict[str, list[str]] = {}
    for label in check["expected"]:
        outcome = check["outcomes"][label]
        if outcome != "ok":
            failed.setdefault(outcome, []).append(label)
    return failed


def _sentence(failed: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(
        f"{', '.join(labels)} {_PREDICATES[outcome]}" for outcome, labels in failed.items()
    )


_PREDICATES = {
    "refused": "refused the connection",
    "reset": "reset the connection",
    "timeout": "did not answer in time",
    "unreachable": "could not be reached",
    "empty": "closed the connection without an answer",
    "wrong": "gave a wrong answer",
}


def is_same_version(said: str, package: str) -> bool:
    """Whether what `haproxy -v` says is a package's version (deb-version(7)).

    HAProxy knows neither the epoch nor that the package was built again (`+b1`).
    """
    upstream = package.partition(":")[2] or package
    return said == re.sub(r"\+b\d+$", "", upstream)
