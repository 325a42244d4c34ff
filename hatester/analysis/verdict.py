"""Verdicts: the judgement on a cell by its evidence alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hatester.analysis.answers import in_service, last_answer, stale_answers
from hatester.analysis.asking import has_no_effect
from hatester.analysis.causes import find_causes, find_start_causes
from hatester.analysis.clients import with_clients
from hatester.analysis.effects import Outage
from hatester.analysis.explanation import explain, explain_error, explain_start
from hatester.analysis.latency import latency, slowed
from hatester.analysis.model import (
    AddressResult,
    AddressVerdict,
    Cause,
    CheckResult,
    Judgement,
    ListenerHolder,
    ObstacleCause,
    Quality,
    ReloadResult,
    ReplyResult,
    UnansweredCause,
    UnaskedCause,
)
from hatester.analysis.outcomes import SEVERITY, worst_reload
from hatester.analysis.parts import round_seconds
from hatester.analysis.processes import master_use, old_workers
from hatester.analysis.stretches import Stretch, stretches
from hatester.analysis.timeline import (
    Check,
    Timeline,
    cut,
    holdings,
    percentile,
)
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload

_BEFORE_SECONDS = 1.0
MOST_BURDEN = {"real": 0.7, "virtual": 0.35}
"""The share of the guest's processors that watching may take, by the guest's clock. On the host's
clock, probing an emulated guest of two processors every 20 ms takes 0.14 to 0.26 and harms nobody;
beyond 0.7, HAProxy hardly gets to accept. On the virtual clock it takes 0.04 of one processor;
where it takes a third, HAProxy is half as slow again."""
MOST_LATENESS = 0.5
"""Seconds by which one probe of a hundred may be late on the host's clock. The prober comes before
all else in the guest; when it is that late, the host kept the guest from running, and with it
HAProxy. On the virtual clock the host cannot."""


def judge(timeline: Timeline) -> Judgement:
    """Return the verdict on the evidence of a cell: for the same evidence, the same one.

    It is an error in five cases:

    - The measurement failed.
    - No reload was observed.
    - An address did not answer in the last second before the first reload.
    - An address that should have answered was never asked.
    - The guest had so little of the processor, through the host or the watching, that this may have
      caused the losses; its quality then is `starved` or `heavy`.
    """
    checks = tuple(map(_check, timeline.checks))
    if timeline.failed is not None:
        return unmeasured(timeline.failed, checks)
    quality = _quality(timeline)
    ended = timeline.ended
    is_start = ended is not None and ended.is_start
    if not timeline.reloads and (is_start or timeline.failed_starts):
        start_causes = find_start_causes(timeline)
        return Judgement(
            verdict="down", silent=False, ended="start", error=None,
            explanation=explain_start(start_causes, timeline.seed), causes=start_causes,
            quality=quality, checks=checks, reloads=(), **_further(timeline),
        )  # fmt: skip
    if obstacle := _obstacle(timeline, quality):
        return unmeasured(explain_error(obstacle, quality), checks, quality, (obstacle,))
    lateness = quality.lateness_max
    reloads = tuple(
        with_clients(timeline, reload, _reload(timeline, reload, lateness))
        for reload in timeline.reloads
    )
    causes = find_causes(timeline, reloads)
    return Judgement(
        verdict="down" if ended else worst_reload(reloads).verdict,
        silent=any(reload.silent for reload in reloads),
        ended="start" if is_start else "later" if ended else None,
        error=None,
        explanation=explain(reloads, causes, timeline.seed),
        causes=causes,
        quality=quality,
        checks=checks,
        reloads=reloads,
        **_further(timeline),
    )


def _further(timeline: Timeline) -> dict[str, Any]:
    """Return the failed starts and the replies of a cell, as fields of its judgement."""
    commands = {step.step: step.what or "" for step in timeline.steps}
    return {
        "failed_starts": tuple(each.step for each in timeline.failed_starts),
        "replies": tuple(
            ReplyResult(
                step=each.step, command=commands.get(each.step, ""), text=each.text,
                exit_code=each.exit_code, error=each.error,
            )
            for each in timeline.replies
        ),
    }  # fmt: skip


def unmeasured(
    reason: str,
    checks: Sequence[CheckResult] = (),
    quality: Quality | None = None,
    causes: Sequence[Cause] = (),
) -> Judgement:
    """Return the judgement on a cell that could not be measured."""
    reason = reason.encode(errors="replace").decode()
    return Judgement(
        verdict="error", silent=None, ended=None, error=reason, explanation=reason,
        causes=tuple(causes), quality=quality, checks=tuple(checks), reloads=(),
    )  # fmt: skip


def _obstacle(timeline: Timeline, quality: Quality) -> Cause | None:
    """Return what keeps a cell from being judged, if anything does."""
    if quality.verdict in ("starved", "heavy"):
        return ObstacleCause(what=quality.verdict)
    if not timeline.reloads:
        return ObstacleCause(what="unobserved")
    first = timeline.reloads[0]
    failed = {
        label: lost[-1].outcome
        for label in _lasting(timeline, first)
        if (lost := _failures(timeline.sent(label, first.at - _BEFORE_SECONDS, first.at)))
    }
    if failed:
        return UnansweredCause.model_validate({"what": "unanswered", "outcomes": failed})
    for reload in timeline.reloads:
        if reload.until - reload.at >= 2 * timeline.interval:
            for label in _expected(timeline, reload):
                if not timeline.sent(label, reload.at, reload.until):
                    return UnaskedCause(what="unasked", step=reload.step, address=label)
    return None


def _lasting(timeline: Timeline, reload: Reload) -> list[str]:
    """Return the addresses that are there all through a reload, and bound before and after."""
    before = timeline.configurations.get(in_service(timeline, reload) or "", ())
    bound = timeline.configurations.get(reload.config, ())
    return [label for label in bound if label in before and label in reload.present]


def _expected(timeline: Timeline, reload: Reload) -> list[str]:
    """Return the lasting addresses, and those that should answer in the end and do not.

    One that is bound anew, or has come back, should answer in the end if HAProxy reports success.
    """
    lasting = _lasting(timeline, reload)
    is_loaded = reload.reported == "success" and reload.steady
    return [
        label
        for label in timeline.configurations.get(reload.config, ())
        if label in lasting
        or (is_loaded and label in reload.in_the_end and _is_dead(timeline, reload, label))
    ]


def _is_dead(timeline: Timeline, reload: Reload, label: str) -> bool:
    """Return whether an address did not answer at the end of a reload's observation."""
    probes = timeline.sent(label, reload.at, reload.until)
    return len(probes) > 1 and not probes[-1].is_ok and not probes[-2].is_ok


def _failures(probes: Sequence[Probe]) -> list[Probe]:
    return [probe for probe in probes if not probe.is_ok]


def _check(check: Check) -> CheckResult:
    return CheckResult(
        step=check.step,
        reload=check.reload,
        at=check.at,
        outcomes=check.outcomes,
        outside=check.outside,
    )


def _reload(timeline: Timeline, reload: Reload, lateness: float) -> ReloadResult:
    """Return what a reload did; `lateness` is the prober's greatest."""
    lasting, expected = _lasting(timeline, reload), _expected(timeline, reload)
    labels = dict.fromkeys((*timeline.addresses, *expected))
    addresses = {label: _address(timeline, reload, label, label in expected) for label in labels}
    for label in {*expected} - {*lasting}:
        addresses[label] = addresses[label].model_copy(update={"is_new": True})
    stale = stale_answers(timeline, reload)
    verdicts = (addresses[label].verdict or "ok" for label in expected)
    worst = max(verdicts, key=SEVERITY.index, default="unasked")
    return ReloadResult.model_validate(
        {
            "step": reload.step,
            "config": reload.config,
            "gap": reload.gap,
            "reported": reload.reported,
            "reported_at": _since(reload, reload.reported_at),
            "is_true": False if stale else _is_true(timeline, reload, addresses),
            "verdict": worst,
            "silent": reload.reported == "success" and worst == "down",
            "seconds": _since(reload, reload.until),
            "steady": reload.steady,
            "overtaken": timeline.is_overtaken(reload),
            "exit_code": reload.exit_code,
            "answer": reload.answer,
            "processes": reload.processes,
            "counters": reload.counters,
            "addresses": addresses,
            "verb": reload.verb,
            "has_no_effect": has_no_effect(timeline, reload),
            "refusal": reload.refusal,
            "logged": reload.logged,
            "listeners": tuple(
                holder
                for label in timeline.addresses
                for holder in _holders(timeline, reload, label)
            ),
            "latency": latency(timeline, reload, lasting),
            "slow": slowed(timeline, reload, lasting, lateness),
            "stale": stale,
            "old_workers": old_workers(timeline, reload),
            "master": master_use(timeline, reload),
        }
    )


def _holders(timeline: Timeline, reload: Reload, label: str) -> list[ListenerHolder]:
    """Return who held an address's listener from the reload to the end of its observation."""
    return [
        ListenerHolder.model_validate(
            {
                "address": each.address,
                "owner": each.owner,
                "pid": each.pid,
                "start": _since(reload, each.start),
                "end": _since(reload, each.end),
                "queue": each.queue,
            }
        )
        for each in cut(holdings(timeline, reload, label), reload.at, reload.until)
    ]


def _address(timeline: Timeline, reload: Reload, label: str, is_expected: bool) -> AddressResult:
    """Return what an address did in a reload. Only one that is expected can have an outage."""
    probes = timeline.sent(label, reload.at, reload.until)
    answered = [probe for probe in probes if probe.is_ok]
    lost = _failures(probes)
    found = stretches(timeline, reload, label) if is_expected else []
    return AddressResult.model_validate(
        {
            "expected": is_expected,
            "verdict": _verdict(lost, found) if is_expected else None,
            "outage_seconds": round_seconds(sum((each.end - each.start for each in found), 0.0)),
            "first_failure": _since(reload, lost[0].sent) if lost else None,
            "last_failure": _since(reload, lost[-1].sent) if lost else None,
            "probes": len(probes),
            "failures": dict(Counter(probe.outcome for probe in lost)),
            "outages": tuple(
                Outage(
                    start=round_seconds(each.start - reload.at),
                    end=round_seconds(each.end - reload.at),
                    share=each.share,
                )
                for each in found
            ),
            "slowest": max(
                (round_seconds(each.ended - each.sent) for each in answered), default=None
            ),
            "answers": dict(Counter(each.configuration for each in answered if each.configuration)),
        }
    )


def _since(reload: Reload, at: float | None) -> float | None:
    """Return seconds from a reload to a moment; None for no moment."""
    return None if at is None else round_seconds(at - reload.at)


def _verdict(lost: Sequence[Probe], found: Sequence[Stretch]) -> AddressVerdict:
    if found:
        return "outage" if found[-1].is_over else "down"
    return "lossy" if lost else "ok"


def _is_true(
    timeline: Timeline, reload: Reload, addresses: Mapping[str, AddressResult]
) -> bool | None:
    """Return whether HAProxy's report agrees with what answers in the end.

    None when it reported nothing, and when no answer shows which configuration it came from.
    """
    right = reload.config if reload.reported == "success" else in_service(timeline, reload)
    expected = [label for label, address in addresses.items() if address.expected]
    if reload.reported is None or not expected:
        return None
    is_down = any(addresses[label].verdict == "down" for label in expected)
    if reload.reported == "success" and is_down:
        return False
    last = [last_answer(timeline.sent(label, reload.at, reload.until)) for label in expected]
    known = [answer for answer in last if answer is not None]
    return all(answer == right for answer in known) if known else None


def _quality(timeline: Timeline) -> Quality:
    """Return how late the prober was. It is not open-loop any more when it slips by an interval."""
    late = [probe.sent - probe.due for probes in timeline.by_address.values() for probe in probes]
    p99 = percentile(late, 0.99)
    found = {
        "starved": timeline.clock == "real" and p99 > MOST_LATENESS,
        "heavy": timeline.burden > MOST_BURDEN[timeline.clock],
        "late": p99 > timeline.interval,
    }
    return Quality.model_validate(
        {
            "verdict": next((name for name, is_so in found.items() if is_so), "good"),
            "lateness_p50": round_seconds(percentile(late, 0.5)),
            "lateness_p99": round_seconds(p99),
            "lateness_max": round_seconds(percentile(late, 1.0)),
            "probes": len(late),
            "interval": timeline.interval,
            "burden": round(timeline.burden, 3),
        }
    )


def is_same_version(said: str, package: str) -> bool:
    """Return whether the version that `haproxy -v` prints is that of a package (deb-version(7)).

    HAProxy knows neither the epoch nor that the package was built again (`+b1`).
    """
    upstream = package.partition(":")[2] or package
    return said == re.sub(r"\+b\d+$", "", upstream)
