"""Verdicts: what a cell's evidence says. No machine is needed here."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hatester.analysis import explanation
from hatester.analysis.timeline import (
    Stretch,
    Timeline,
    cut,
    holdings,
    percentile,
    read,
    stretches,
)
from provision.guest.protocol import Probe, Reload

SEVERITY = ("ok", "unasked", "lossy", "outage", "down")
"""The verdicts on what was measured, the worst last; `unasked` where nothing was left to ask."""
_BEFORE_SECONDS = 1.0
_DIGITS = 6
MOST_BURDEN = {"real": 0.7, "virtual": 0.35}
"""Of the guest's processors, for watching, by its clock. On the host's clock, probing an emulated
guest of two processors every 20 ms takes 0.14 to 0.26 and harms nobody; beyond 0.7, HAProxy hardly
gets to accept. On the virtual clock it takes 0.04 of one processor; where it takes a third, HAProxy
is half as slow again."""
MOST_LATENESS = 0.5
"""Seconds, of one probe of a hundred, on the host's clock. The prober comes before all else in the
guest; when it is that late, the host kept the guest from running, and with it HAProxy. On the
virtual clock the host cannot."""


_UNFIT = {
    "starved": "the host kept the guest from running: one probe of a hundred was sent "
    "{lateness_p99:.2f} s late or more, though the prober comes before all else there",
    "heavy": "watching took {burden:.0%} of the guest's processors and may itself have kept "
    "HAProxy from answering: probe less often than every {interval:g} s",
}


@dataclass(frozen=True)
class Judgement:
    """What `run.json` says of a cell by its evidence.

    `name` is one of SEVERITY or error. An error has nothing but its `explanation` and the
    `quality` of what was measured: it is no statement about HAProxy. All seconds of `reloads`
    are from the reload, each from its own.
    """

    name: str
    explanation: str
    silent: bool | None = None
    ended: str | None = None
    """`start` where HAProxy did not start, `later` where it was gone after that."""
    quality: dict[str, Any] | None = None
    reloads: list[dict[str, Any]] = field(default_factory=list)


def judge(evidence: Mapping[str, Any]) -> Judgement:
    """The verdict on the content of a cell's `timeline.json`; the same evidence, the same verdict.

    It is an error when no reload was observed, when an address did not even answer in the last
    second before the first one, when one that should have answered was never asked, and when the
    guest had so little of the processor, for the host's sake or the watching's, that this may
    itself have caused what was seen; the quality then is `starved` or `heavy`.
    """
    timeline = read(evidence)
    quality = _quality(timeline)
    if timeline.ended and timeline.ended.is_start:
        is_result = bool(timeline.ended.missing)
        text = explanation.explain_start(timeline, timeline.ended)
        if not is_result:
            return Judgement("error", text, quality=quality)
        return Judgement("down", text, silent=False, ended="start", quality=quality)
    reason = _UNFIT.get(quality["verdict"], "").format(**quality) or _why_not_measured(timeline)
    if reason:
        return Judgement("error", reason, quality=quality)
    entries = [
        _entry(timeline, reload, source)
        for reload, source in zip(timeline.reloads, evidence["reloads"], strict=True)
    ]
    worst = max(entries, key=_severity)
    return Judgement(
        name="down" if timeline.ended else worst["verdict"],
        explanation=explanation.explain(timeline, entries, worst),
        silent=any(entry["silent"] for entry in entries),
        ended="later" if timeline.ended else None,
        quality=quality,
        reloads=entries,
    )


def _severity(entry: Mapping[str, Any]) -> tuple[int, bool, float, int]:
    """Which of two reloads is the worse: by verdict, silence, longest outage, what was lost."""
    expected = [each for each in entry["addresses"].values() if each["expected"]]
    return (
        SEVERITY.index(entry["verdict"]),
        entry["silent"],
        max((each["outage_seconds"] for each in expected), default=0.0),
        sum(sum(each["failures"].values()) for each in expected),
    )


def _why_not_measured(timeline: Timeline) -> str | None:
    if not timeline.reloads:
        return "no reload was observed"
    first = timeline.reloads[0]
    before = timeline.configurations.get(_in_service(timeline, first) or "", ())
    failed = {
        label: lost[-1].outcome
        for label in _expected(timeline, first)
        if label in before and label in first.present
        if (lost := _failures(timeline.sent(label, first.at - _BEFORE_SECONDS, first.at)))
    }
    if failed:
        return f"before any reload, {explanation.complaint(failed)}"
    for reload in timeline.reloads:
        if reload.until - reload.at >= 2 * timeline.interval:
            for label in _expected(timeline, reload):
                if not timeline.sent(label, reload.at, reload.until):
                    return f"in the reload of step {reload.step}, {label} was never asked"
    return None


def _in_service(timeline: Timeline, reload: Reload) -> str | None:
    """The configuration that answered last before a reload, else the one asked for last."""
    answers = [
        answer
        for label in timeline.addresses
        if (answer := _last_known(timeline, timeline.sent(label, -math.inf, reload.at), reload.at))
    ]
    asked = [(at, name) for at, name in timeline.loads if at < reload.at]
    return max(answers or asked, key=lambda each: each[0], default=(0.0, None))[1]


def _last_known(
    timeline: Timeline, probes: Sequence[Probe], until: float
) -> tuple[float, str] | None:
    """When the last probe was sent that a known configuration had answered by then, and which."""
    return next(
        (
            (probe.sent, probe.configuration)
            for probe in reversed(probes)
            if probe.is_ok and probe.ended <= until
            if probe.configuration and probe.configuration in timeline.configurations
        ),
        None,
    )


def _expected(timeline: Timeline, reload: Reload) -> list[str]:
    """The addresses that should answer all through a reload: there, and bound before and after.

    One that is bound anew, or has come back, should answer in the end, if HAProxy reports success;
    it is among them when it does not.
    """
    before = timeline.configurations.get(_in_service(timeline, reload) or "", ())
    is_loaded = reload.reported == "success" and reload.steady
    return [
        label
        for label in timeline.configurations.get(reload.config, ())
        if (label in before and label in reload.present)
        or (is_loaded and label in reload.in_the_end and _is_dead(timeline, reload, label))
    ]


def _is_dead(timeline: Timeline, reload: Reload, label: str) -> bool:
    """True if an address did not answer at the end of a reload's observation."""
    probes = timeline.sent(label, reload.at, reload.until)
    return len(probes) > 1 and not probes[-1].is_ok and not probes[-2].is_ok


def _failures(probes: Sequence[Probe]) -> list[Probe]:
    return [probe for probe in probes if not probe.is_ok]


def _entry(timeline: Timeline, reload: Reload, source: Mapping[str, Any]) -> dict[str, Any]:
    """A reload as `run.json` has it; `source` is what `timeline.json` says of it."""
    expected = _expected(timeline, reload)
    labels = dict.fromkeys((*timeline.addresses, *expected))
    addresses = {label: _address(timeline, reload, label, label in expected) for label in labels}
    worst = max(
        (addresses[label]["verdict"] for label in expected),
        key=SEVERITY.index,
        default="unasked",
    )
    reported_at = reload.reported_at
    return {
        "step": reload.step,
        "config": reload.config,
        "reported": reload.reported,
        "reported_at": None if reported_at is None else _seconds(reported_at - reload.at),
        "true": _is_true(timeline, reload, addresses),
        "verdict": worst,
        "silent": reload.reported == "success" and worst == "down",
        "seconds": _seconds(reload.until - reload.at),
        "steady": reload.steady,
        **{name: source[name] for name in ("gap", "exit_code", "answer", "processes", "counters")},
        "addresses": addresses,
        "listeners": [
            {
                "address": each.address,
                "owner": each.owner,
                "pid": each.pid,
                "from": _seconds(each.start - reload.at),
                "to": _seconds(each.end - reload.at),
                "queue": each.queue,
            }
            for label in timeline.addresses
            for each in cut(holdings(timeline, reload, label), reload.at, reload.until)
        ],
    }


def _address(timeline: Timeline, reload: Reload, label: str, is_expected: bool) -> dict[str, Any]:
    """What an address did in a reload. Only what should have answered can have an outage."""
    probes = timeline.sent(label, reload.at, reload.until)
    answered = [probe for probe in probes if probe.is_ok]
    lost = _failures(probes)
    found = stretches(timeline, reload, label) if is_expected else []
    return {
        "expected": is_expected,
        "verdict": _verdict(lost, found) if is_expected else None,
        "outage_seconds": _seconds(sum((each.end - each.start for each in found), 0.0)),
        "first_failure": _seconds(lost[0].sent - reload.at) if lost else None,
        "last_failure": _seconds(lost[-1].sent - reload.at) if lost else None,
        "probes": len(probes),
        "failures": dict(Counter(probe.outcome for probe in lost)),
        "outages": [
            {"from": _seconds(each.start - reload.at), "to": _seconds(each.end - reload.at)}
            for each in found
        ],
        "slowest": max((_seconds(probe.ended - probe.sent) for probe in answered), default=None),
        "answers": dict(Counter(each.configuration for each in answered if each.configuration)),
    }


def _verdict(lost: Sequence[Probe], found: Sequence[Stretch]) -> str:
    if found:
        return "outage" if found[-1].is_over else "down"
    return "lossy" if lost else "ok"


def _is_true(
    timeline: Timeline, reload: Reload, addresses: Mapping[str, Mapping[str, Any]]
) -> bool | None:
    """Whether what HAProxy reported agrees with what answers in the end.

    None when it reported nothing, and when no answer tells which configuration it came from.
    """
    right = reload.config if reload.reported == "success" else _in_service(timeline, reload)
    expected = [label for label, entry in addresses.items() if entry["expected"]]
    if reload.reported is None or not expected:
        return None
    is_down = any(addresses[label]["verdict"] == "down" for label in expected)
    if reload.reported == "success" and is_down:
        return False
    last = [_last_answer(timeline.sent(label, reload.at, reload.until)) for label in expected]
    known = [answer for answer in last if answer is not None]
    return all(answer == right for answer in known) if known else None


def _last_answer(probes: Sequence[Probe]) -> str | None:
    return next((probe.configuration for probe in reversed(probes) if probe.is_ok), None)


def _quality(timeline: Timeline) -> dict[str, Any]:
    """How late the prober was: it is no longer open-loop when it slips by an interval."""
    late = [probe.sent - probe.due for probes in timeline.by_address.values() for probe in probes]
    p99 = percentile(late, 0.99)
    found = {
        "starved": timeline.clock == "real" and p99 > MOST_LATENESS,
        "heavy": timeline.burden > MOST_BURDEN[timeline.clock],
        "late": p99 > timeline.interval,
    }
    return {
        "verdict": next((name for name, is_so in found.items() if is_so), "good"),
        "lateness_p50": _seconds(percentile(late, 0.5)),
        "lateness_p99": _seconds(p99),
        "lateness_max": _seconds(percentile(late, 1.0)),
        "probes": len(late),
        "interval": timeline.interval,
        "burden": round(timeline.burden, 3),
    }


def _seconds(value: float) -> float:
    return round(value, _DIGITS)


def is_same_version(said: str, package: str) -> bool:
    """Whether what `haproxy -v` says is a package's version (deb-version(7)).

    HAProxy knows neither the epoch nor that the package was built again (`+b1`).
    """
    upstream = package.partition(":")[2] or package
    return said == re.sub(r"\+b\d+$", "", upstream)


def judged(timeline: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of a cell by its evidence alone, now or at any later time."""
    if timeline.get("failed") is not None:
        return unjudged(timeline["failed"], timeline["checks"])
    found = judge(timeline)
    return {
        "verdict": found.name,
        "silent": found.silent,
        "ended": found.ended,
        "error": found.explanation if found.name == "error" else None,
        "explanation": found.explanation,
        "quality": found.quality,
        "checks": timeline["checks"],
        "reloads": found.reloads,
    }


def unjudged(reason: str, checks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "verdict": "error",
        "silent": None,
        "ended": None,
        "error": reason,
        "explanation": reason,
        "quality": None,
        "checks": checks,
        "reloads": [],
    }
