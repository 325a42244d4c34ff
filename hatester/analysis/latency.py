"""Latency: how long answers took, from when their connections were due.

A connection that was sent late would otherwise look fast, just when the guest was slow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from hatester.analysis.reload_model import Latency, ReloadLatency, round_seconds
from hatester.analysis.timeline import Timeline, percentile
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload

BEFORE_SECONDS = 1.0
"""The time before a reload that it is compared with."""
SLOW_SECONDS = 0.25
"""The time by which a reload has to lengthen an answer to be called slow. A new process that starts
beside the old one, on one processor, lengthens answers by less than 0.1 s. A connection whose SYN
was dropped takes 1 s longer (TCP_TIMEOUT_INIT of include/net/tcp.h)."""


def latency(timeline: Timeline, reload: Reload, labels: Sequence[str]) -> ReloadLatency:
    """Return the latency of addresses before, during and after a reload."""
    reported = reload.until if reload.reported_at is None else reload.reported_at
    start, end = _calm(timeline, reload)
    spans = {
        "before": (start, end),
        "during": (reload.at, reported),
        "after": (reported, reload.until),
    }
    found = {
        name: _latency(
            itertools.chain.from_iterable(timeline.sent(label, *span) for label in labels)
        )
        for name, span in spans.items()
    }
    return ReloadLatency(**found)


def slowed(
    timeline: Timeline, reload: Reload, labels: Sequence[str], lateness: float
) -> tuple[str, ...]:
    """Return the addresses with an answer that took much longer than all of those before.

    The prober may send a probe late, and notice its answer late, each by its greatest `lateness`.
    """
    bound = SLOW_SECONDS + 2 * lateness
    found = []
    for label in labels:
        before = _lengths(timeline.sent(label, *_calm(timeline, reload)))
        since = _lengths(timeline.sent(label, reload.at, reload.until))
        if before and max(since, default=0.0) > max(before) + bound:
            found.append(label)
    return tuple(found)


def _calm(timeline: Timeline, reload: Reload) -> tuple[float, float]:
    """Return the time before a reload, or before the first of those that overtook one another."""
    start, end = -math.inf, None
    for each in timeline.reloads:
        end = each.at if end is None else end
        if each.step == reload.step:
            break
        if each.steady:
            start, end = each.until, None
    end = reload.at if end is None else end
    return max(start, end - BEFORE_SECONDS), end


def _lengths(probes: Iterable[Probe]) -> list[float]:
    return [probe.ended - probe.due for probe in probes if probe.is_ok]


def _latency(probes: Iterable[Probe]) -> Latency | None:
    lengths = _lengths(probes)
    if not lengths:
        return None
    p50, p99, most = (round_seconds(percentile(lengths, share)) for share in (0.5, 0.99, 1.0))
    return Latency(answers=len(lengths), p50=p50, p99=p99, most=most)
