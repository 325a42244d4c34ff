"""Causes: what a cell's evidence has as the reasons for its verdict, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

from hatester.analysis.outages import find_stretches
from hatester.analysis.reload_model import (
    AlertCause,
    Cause,
    EndCause,
    Holder,
    ListenerCause,
    ReloadResult,
    StartCause,
    round_seconds,
)
from hatester.analysis.timeline import (
    Phase,
    Timeline,
    dormant_holdings,
    holdings,
    merge,
    phases,
)
from hatester.util.text import grouped
from provision.guest.protocol import Ended, FailedStart, Reload

# Bounded, since the next pattern takes time with the square of the length.
_ALERT = re.compile(r"\[ALERT\]\s+(?:\d+/\d+\s+)?(?:\(\d+\)\s*:\s*)?(?P<text>.{0,4000})")
_CANNOT_BIND = re.compile(
    r"cannot bind socket\s*(?:\((?P<reason>[^)]*)\))?[^\[]*\[(?P<address>[^\]]+)\]"
)
_ORDER = ("new worker", "master", "old worker", "stranger")


def find_causes(timeline: Timeline, results: Sequence[ReloadResult]) -> tuple[Cause, ...]:
    """Return the causes of what the reloads of a cell did, in the order of time."""
    ended = timeline.ended
    found = _start_causes(timeline.failed_starts)
    if ended and ended.is_start:
        last = FailedStart(ended.step or 0, ended.at, ended.reason, ended.missing)
        found += _start_causes([last])
    for reload, result in zip(timeline.reloads, results, strict=True):
        found += _listener_causes(timeline, reload, result)
        log = [line.text for line in timeline.log if reload.at <= line.at < reload.until]
        found += _alerts(reload.step, log)
    if ended and not ended.is_start:
        found.append(_end(ended))
    return tuple(found)


def find_start_causes(timeline: Timeline) -> tuple[Cause, ...]:
    """Return why HAProxy did not start in a cell without a reload."""
    found = _start_causes(timeline.failed_starts)
    if timeline.ended:
        found.append(_end(timeline.ended))
    if timeline.ended and timeline.ended.is_start:
        found += _alerts(None, [line.text for line in timeline.log])
    return tuple(found)


def _start_causes(failed: Sequence[FailedStart]) -> list[Cause]:
    """Return the starts that failed, each with HAProxy's first alert."""
    found: list[Cause] = []
    for start in failed:
        found.append(
            StartCause(what="start", step=start.step, reason=start.reason, missing=start.missing)
        )
        found += _alerts(start.step, start.reason.splitlines())
    return found


def _end(ended: Ended) -> EndCause:
    return EndCause(what="end", step=ended.step, reason=ended.reason, missing=ended.missing)


def _alerts(step: int | None, log: Iterable[str]) -> list[AlertCause]:
    """Return the first alert among lines of HAProxy's log, if there is one.

    The format of the lines is that of `print_message()` in HAProxy's src/errors.c.
    """
    alert = next((found["text"].strip() for line in log if (found := _ALERT.search(line))), None)
    if alert is None:
        return []
    bind = _CANNOT_BIND.search(alert)
    return [
        AlertCause(
            what="alert",
            step=step,
            text=alert,
            bind=bind["address"] if bind else None,
            reason=bind["reason"] if bind else None,
        )
    ]


def _listener_causes(
    timeline: Timeline, reload: Reload, result: ReloadResult
) -> list[ListenerCause]:
    """Return the holders of the listeners of addresses that were down or out, by common fate."""
    found: list[ListenerCause] = []
    for verdict in ("down", "outage"):
        fates = {
            label: _fate(timeline, reload, label)
            for label, each in result.expected.items()
            if each.verdict == verdict
        }
        alike = grouped(
            (tuple(each.owners for each in fate), label) for label, fate in fates.items()
        )
        for labels in alike.values():
            common = map(merge, *(fates[label] for label in labels))
            found += _causes_of(timeline, reload, labels, [*common])
    return found


def _fate(timeline: Timeline, reload: Reload, label: str) -> list[Phase]:
    """Return an address's phases in the stretch that is not over, else in its longest."""
    failed = find_stretches(timeline, reload, label)
    longest = max(failed, key=lambda each: (not each.is_over, each.end - each.start))
    held = holdings(timeline, reload, label)
    return phases(timeline, held, longest.start, longest.end)


def _causes_of(
    timeline: Timeline, reload: Reload, labels: Sequence[str], fate: Sequence[Phase]
) -> list[ListenerCause]:
    """Return a cause for each phase of addresses of the same fate."""
    found = []
    held = [each for each in holdings(timeline, reload, labels[0]) if each.owner]
    for number, phase in enumerate(fate):
        is_abandoned = phase.owners == {None}
        ended = [e for e in held if e.end <= phase.start] if is_abandoned and not number else []
        keepers = _keepers(timeline, reload, labels, phase) if is_abandoned else ()
        is_last = number == len(fate) - 1
        begun = [e for e in held if e.start >= phase.end] if is_abandoned and is_last else []
        last = max((each.end for each in ended), default=0.0)
        first = min((each.start for each in begun), default=0.0)
        found.append(
            ListenerCause(
                what="listener",
                step=reload.step,
                start=round_seconds(phase.start - reload.at),
                end=round_seconds(phase.end - reload.at),
                addresses=tuple(labels),
                owners=_holders(timeline, phase.owners),
                before=_holders(timeline, (e.owner for e in ended if e.end == last)),
                after=_holders(timeline, (e.owner for e in begun if e.start == first)),
                dormant=_holders(timeline, keepers),
                queue=phase.queue,
                uncertainty=round_seconds(timeline.tolerance),
            )
        )
    return found


def _keepers(
    timeline: Timeline, reload: Reload, labels: Sequence[str], phase: Phase
) -> Iterable[str | None]:
    """Return the owners of sockets out of LISTEN, if each address has them at a phase's end.

    A process may still close such a socket during the phase.
    """
    last = (phase.start + phase.end) / 2
    held = [
        {
            each.owner
            for each in dormant_holdings(timeline, reload, label)
            if each.start <= phase.end and each.end > last
        }
        for label in labels
    ]
    return set.intersection(*held)


def _holders(timeline: Timeline, owners: Iterable[str | None]) -> tuple[Holder, ...]:
    """Return owners as a sentence has them, in a fixed order."""
    there = {*owners}
    words = tuple(timeline.name_owner(owner) for owner in _ORDER if owner in there)
    return cast("tuple[Holder, ...]", words)
