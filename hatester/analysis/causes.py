"""Causes: what a cell's evidence has as the reasons for its verdict, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

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
from hatester.analysis.timeline import Holding, Phase, Timeline, dormant_holdings, holdings, phases
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


class _Fate(NamedTuple):
    """The longest outage of an address: the phases and the holders of its listener."""

    label: str
    phases: list[Phase]
    holdings: list[Holding]
    dormant: list[Holding]


def _listener_causes(
    timeline: Timeline, reload: Reload, result: ReloadResult
) -> list[ListenerCause]:
    """Return the holders of the listeners of addresses that were down or out, by common fate."""
    found: list[ListenerCause] = []
    for verdict in ("down", "outage"):
        labels = [label for label, each in result.expected.items() if each.verdict == verdict]
        alike: dict[tuple[frozenset[str | None], ...], list[_Fate]] = {}
        for fate in (_fate(timeline, reload, label) for label in labels):
            alike.setdefault(tuple(each.owners for each in fate.phases), []).append(fate)
        for fates in alike.values():
            found += _causes_of(timeline, reload, fates)
    return found


def _fate(timeline: Timeline, reload: Reload, label: str) -> _Fate:
    """Return an address's fate in the stretch that is not over, else in its longest."""
    failed = find_stretches(timeline, reload, label)
    longest = max(failed, key=lambda each: (not each.is_over, each.end - each.start))
    held = holdings(timeline, reload, label)
    found = phases(timeline, held, longest.start, longest.end)
    return _Fate(label, found, held, dormant_holdings(timeline, reload, label))


def _causes_of(timeline: Timeline, reload: Reload, fates: list[_Fate]) -> list[ListenerCause]:
    """Return a cause for each phase of addresses with the same phases."""
    found = []
    merged = [_merge(several) for several in zip(*(fate.phases for fate in fates), strict=True)]
    for number, phase in enumerate(merged):
        held = [each for each in fates[0].holdings if each.owner]
        is_abandoned = phase.owners == {None}
        ended = [e for e in held if e.end <= phase.start] if is_abandoned and not number else []
        is_last = number == len(merged) - 1
        begun = [e for e in held if e.start >= phase.end] if is_abandoned and is_last else []
        last = max((each.end for each in ended), default=0.0)
        first = min((each.start for each in begun), default=0.0)
        found.append(
            ListenerCause(
                what="listener",
                step=reload.step,
                start=round_seconds(phase.start - reload.at),
                end=round_seconds(phase.end - reload.at),
                addresses=tuple(fate.label for fate in fates),
                owners=_holders(timeline, phase.owners),
                before=_holders(timeline, (e.owner for e in ended if e.end == last)),
                after=_holders(timeline, (e.owner for e in begun if e.start == first)),
                dormant=_holders(timeline, _keepers(fates, phase) if is_abandoned else ()),
                queue=phase.queue,
                uncertainty=round_seconds(timeline.tolerance),
            )
        )
    return found


def _keepers(fates: Sequence[_Fate], phase: Phase) -> set[str | None]:
    """Return the owners of sockets out of LISTEN, if each address has them at a phase's end.

    A process may still close such a socket during the phase.
    """
    last = (phase.start + phase.end) / 2
    held = [
        {each.owner for each in fate.dormant if each.start <= phase.end and each.end > last}
        for fate in fates
    ]
    return set.intersection(*held)


def _merge(several: Sequence[Phase]) -> Phase:
    """Return the same phase of several addresses as one."""
    return Phase(
        several[0].owners,
        min(each.start for each in several),
        max(each.end for each in several),
        max(each.queue for each in several),
    )


def _holders(timeline: Timeline, owners: Iterable[str | None]) -> tuple[Holder, ...]:
    """Return owners in a fixed order; without a master, workers are processes."""
    there = {*owners}
    has_master = any(process.kind == "master" for process in timeline.processes)
    found = [owner for owner in _ORDER if owner in there]
    words = found if has_master else [each.replace("worker", "process") for each in found]
    return cast("tuple[Holder, ...]", tuple(words))
