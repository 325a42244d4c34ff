"""Verdicts: the judgement on a cell by its evidence alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hatester.analysis.causes import find_causes, find_start_causes
from hatester.analysis.client_losses import with_clients
from hatester.analysis.explanation import explain, explain_error, explain_start
from hatester.analysis.model import CheckResult, Judgement, Quality, ReplyResult
from hatester.analysis.outcomes import worst_reload
from hatester.analysis.reload_model import (
    Cause,
    ObstacleCause,
    UnansweredCause,
    UnaskedCause,
    round_seconds,
)
from hatester.analysis.reload_verdict import expected_addresses, judge_reload, lasting_addresses
from hatester.analysis.timeline import Timeline, percentile

_BEFORE_SECONDS = 1.0
_TAKEN_SECONDS = 0.05
"""A step has been taken so long before the next one (provision/guest/sequence.py), at least."""
_GIVING = ("add", "free", "mend", "pass", "start-server")
"""Steps from which on an address may answer that did not."""
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
    checks = tuple(CheckResult.model_validate(vars(check)) for check in timeline.checks)
    if timeline.failed is not None:
        return unmeasured(timeline.failed, checks)
    quality = _quality(timeline)
    ended = timeline.ended
    is_start = ended is not None and ended.is_start
    if not timeline.reloads and (is_start or timeline.failed_starts):
        return _judge_start(timeline, quality, checks)
    if obstacle := _obstacle(timeline, quality):
        return unmeasured(explain_error(obstacle, quality), checks, quality, (obstacle,))
    reloads = tuple(
        with_clients(timeline, reload, judge_reload(timeline, reload, quality.lateness_max))
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


def _judge_start(
    timeline: Timeline, quality: Quality, checks: tuple[CheckResult, ...]
) -> Judgement:
    causes = find_start_causes(timeline)
    return Judgement(
        verdict="down", silent=False, ended="start", error=None,
        explanation=explain_start(causes, timeline.seed), causes=causes,
        quality=quality, checks=checks, reloads=(), **_further(timeline),
    )  # fmt: skip


def _further(timeline: Timeline) -> dict[str, Any]:
    """Return the failed starts and the replies of a cell, as fields of its judgement."""
    commands = {step.step: step.what or "" for step in timeline.steps}
    return {
        "failed_starts": tuple(each.step for each in timeline.failed_starts),
        "replies": tuple(
            ReplyResult.model_validate({**vars(each), "command": commands.get(each.step, "")})
            for each in timeline.replies
        ),
    }


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


def _before(timeline: Timeline, at: float) -> float:
    """Return the seconds before the first reload in which addresses have to answer."""
    given = [step.at for step in timeline.steps if step.verb in _GIVING and step.at < at]
    is_just_given = any(at - each < _BEFORE_SECONDS for each in given)
    return _TAKEN_SECONDS if is_just_given else _BEFORE_SECONDS


def _obstacle(timeline: Timeline, quality: Quality) -> Cause | None:
    """Return the obstacle that keeps a cell from being judged, if there is one."""
    if quality.verdict in ("starved", "heavy"):
        return ObstacleCause(what=quality.verdict)
    if not timeline.reloads:
        return ObstacleCause(what="unobserved")
    first = timeline.reloads[0]
    failed = {
        label: lost[-1].outcome
        for label in lasting_addresses(timeline, first)
        for probes in [timeline.sent(label, first.at - _before(timeline, first.at), first.at)]
        if (lost := [probe for probe in probes if not probe.is_ok])
    }
    if failed:
        return UnansweredCause.model_validate({"what": "unanswered", "outcomes": failed})
    for reload in timeline.reloads:
        if reload.until - reload.at >= 2 * timeline.interval:
            for label in expected_addresses(timeline, reload):
                if not timeline.sent(label, reload.at, reload.until):
                    return UnaskedCause(what="unasked", step=reload.step, address=label)
    return None


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
