"""Answers: how long they took, and which configurations gave them.

Latency counts from when connections were due. One that was sent late would otherwise look fast,
just when the guest was slow.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from hatester.analysis.reload_model import Latency, ReloadLatency, StaleAnswers, round_seconds
from hatester.analysis.timeline import Timeline, percentile
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload

BEFORE_SECONDS = 1.0
"""The time before a reload that it is compared with."""
SLOW_SECONDS = 0.25
"""The time by which a reload has to lengthen an answer to be called slow. A new process that starts
beside the old one, on one processor, lengthens answers by less than 0.1 s. A connection whose SYN
was dropped takes 1 s longer (TCP_TIMEOUT_INIT of include/net/tcp.h)."""
GRACE_SECONDS = 1.0
"""The time after HAProxy's report of success in which other configurations may answer. Connections
that wait in the old worker's queue then are its to answer."""
_LEAST_STALE = 2
"""The least number of stale answers that count; a single one may have waited for long."""


def latency(timeline: Timeline, reload: Reload, labels: Sequence[str]) -> ReloadLatency:
    """Return the latency of addresses before, during and after a reload."""
    reported = reload.until if reload.reported_at is None else reload.reported_at
    return ReloadLatency(
        before=_latency(timeline, labels, *_calm(timeline, reload)),
        during=_latency(timeline, labels, reload.at, reported),
        after=_latency(timeline, labels, reported, reload.until),
    )


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


def _latency(timeline: Timeline, labels: Sequence[str], start: float, end: float) -> Latency | None:
    lengths = _lengths(probe for label in labels for probe in timeline.sent(label, start, end))
    if not lengths:
        return None
    p50, p99, most = (round_seconds(percentile(lengths, share)) for share in (0.5, 0.99, 1.0))
    return Latency(answers=len(lengths), p50=p50, p99=p99, most=most)


def in_service(timeline: Timeline, reload: Reload) -> str | None:
    """Return the configuration that answered last before a reload, else the last one loaded."""
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
    """Return when the last probe was sent that a configuration had answered by then, and which."""
    return next(
        (
            (probe.sent, probe.configuration)
            for probe in reversed(probes)
            if probe.is_ok and probe.ended <= until
            if probe.configuration and probe.configuration in timeline.configurations
        ),
        None,
    )


def last_answer(probes: Sequence[Probe]) -> str | None:
    """Return the configuration that answered last, if it said so."""
    return next((probe.configuration for probe in reversed(probes) if probe.is_ok), None)


def stale_answers(timeline: Timeline, reload: Reload) -> dict[str, StaleAnswers]:
    """Return the answers of other configurations than the loaded one, by address.

    They count from a second after HAProxy reported success, at addresses that the loaded
    configuration binds.
    """
    if reload.reported != "success" or reload.reported_at is None:
        return {}
    since = max(reload.at, reload.reported_at) + GRACE_SECONDS
    found = {}
    for label in timeline.configurations.get(reload.config, ()):
        probes = timeline.sent(label, since, reload.until)
        names = Counter(each.configuration for each in probes if each.is_ok and each.configuration)
        stale = {name: count for name, count in names.items() if name != reload.config}
        if sum(stale.values()) >= _LEAST_STALE:
            share = sum(stale.values()) / names.total()
            found[label] = StaleAnswers(share=share, answers=stale)
    return found
