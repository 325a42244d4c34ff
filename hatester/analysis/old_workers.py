"""Processes: what became of HAProxy's old workers, and what it all took of the guest."""

from __future__ import annotations

import math

from hatester.analysis.reload_model import OldWorker, ProcessUse, round_seconds
from hatester.analysis.timeline import Timeline
from provision.guest.protocol import Process, Reload


def old_workers(timeline: Timeline, reload: Reload) -> tuple[OldWorker, ...]:
    """Return the workers that were there when a reload was asked for, the oldest first.

    One is left if it was there at the end of the observation although a newer one was. After a
    reload that failed, the worker that goes on serving is not.
    """
    workers = [each for each in timeline.processes if each.kind == "worker"]
    there = [each for each in workers if _lasts(timeline, each, reload.until)]
    newest = max((each.start for each in there), default=0.0)
    loads = [each.at for each in timeline.reloads if each.at < min(newest, reload.until)]
    replaced = max(loads, default=-math.inf)
    return tuple(
        OldWorker(
            pid=each.pid,
            age=round_seconds(min(each.end, reload.until) - each.start),
            ended_at=None if each in there else round_seconds(max(each.end - reload.at, 0.0)),
            is_left=each in there and each.start <= replaced,
            use=_use(timeline, each, reload.until),
        )
        for each in sorted(workers, key=lambda each: each.start)
        if _lasts(timeline, each, reload.at)
    )


def master_use(timeline: Timeline, reload: Reload) -> ProcessUse | None:
    """Return the master's use of the guest at the end of a reload's observation."""
    masters = [each for each in timeline.processes if each.kind == "master"]
    there = (each for each in masters if _lasts(timeline, each, reload.until))
    return next((_use(timeline, each, reload.until) for each in there), None)


def _lasts(timeline: Timeline, process: Process, until: float) -> bool:
    """Return whether a process was still there at a time, as far as samples show it."""
    return process.start <= until <= process.end + timeline.tolerance


def _use(timeline: Timeline, process: Process, until: float) -> ProcessUse | None:
    """Return a process's use of the guest when it was last looked at before a time."""
    looks = [
        each
        for each in timeline.usage
        if each.pid == process.pid and process.start <= each.at <= min(process.end, until)
    ]
    return ProcessUse.model_validate(looks[-1]._asdict()) if looks else None
