"""Timelines: what a cell left as evidence, as typed data, and the arithmetic on it.

Times are seconds on the guest's monotonic clock since the cell began, unless said otherwise.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatester.analysis.timeline_schema import require_form

OVERTAKING_SECONDS = 1.0
"""At most, from the end of an observation to the reload that ended it before it was steady."""

UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading, judging and drawing raise for what is no timeline, which is found out only then."""


@dataclass(frozen=True)
class Probe:
    """One connection to an address; `configuration` is the one that answered, if it said so."""

    due: float
    sent: float
    ended: float
    outcome: str
    configuration: str | None

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True)
class Listener:
    """A listening socket, as long as the same processes held it; `queue` is its longest."""

    address: str
    pids: tuple[int, ...]
    start: float
    end: float
    queue: int


@dataclass(frozen=True)
class Process:
    """A process, from when it was first seen to when it was last; a master, worker or stranger."""

    pid: int
    kind: str
    start: float
    end: float


@dataclass(frozen=True)
class Reload:
    """A reload, observed from `at` to `until`; `present` are the addresses there all the while, and
    `in_the_end` those that are there then."""

    step: int
    config: str
    at: float
    until: float
    present: tuple[str, ...]
    in_the_end: tuple[str, ...]
    reported: str | None
    reported_at: float | None
    steady: bool


@dataclass(frozen=True)
class Ended:
    """That HAProxy is gone: found at a step, or in the end (None), with what it said.

    `missing` are the addresses that it did not have when it was to start; it did not, then.
    """

    step: int | None
    at: float
    reason: str
    missing: tuple[str, ...]
    is_start: bool


@dataclass(frozen=True)
class Timeline:
    """A cell's evidence. `probes` are each address's, in the order in which they were sent.

    `loads` are the starts and reloads that were asked for, each with its configuration.
    `tolerance` is the longest time that may lie between two samples of the listeners. `burden` is
    the share of the guest's processors that watching took, from 0 to 1. `clock` is what the guest's
    time followed, `seed` what decided all that chance would.
    """

    seed: int
    clock: str
    interval: float
    addresses: tuple[str, ...]
    configurations: Mapping[str, tuple[str, ...]]
    loads: tuple[tuple[float, str], ...]
    probes: Mapping[str, Sequence[Probe]]
    listeners: tuple[Listener, ...]
    processes: tuple[Process, ...]
    tolerance: float
    burden: float
    log: tuple[tuple[float, str], ...]
    reloads: tuple[Reload, ...]
    ended: Ended | None

    def sent(self, label: str, start: float, end: float) -> Sequence[Probe]:
        """An address's probes that were sent from `start` up to, but not at, `end`."""
        probes = self.probes.get(label, ())
        first = bisect_left(probes, start, key=lambda probe: probe.sent)
        return probes[first : bisect_left(probes, end, key=lambda probe: probe.sent)]

    def observed_until(self, reload: Reload) -> float:
        """When the observation ended that a reload is in: not where another reload overtook it."""
        until, is_over = reload.until, reload.steady
        for following in self.reloads:
            if following.at <= reload.at:
                continue
            if is_over or following.at - until > OVERTAKING_SECONDS:
                break
            until, is_over = following.until, following.steady
        return until

    def is_overtaken(self, reload: Reload) -> bool:
        """Whether the next reload was asked for before this one was observed to its end."""
        return self.observed_until(reload) > reload.until


def read(evidence: Mapping[str, Any]) -> Timeline:
    """The content of a cell's `timeline.json`, which is left as it is.

    Raises ValueError for what has another form.
    """
    require_form(evidence)
    addresses = tuple(evidence["addresses"])
    probes: dict[str, list[Probe]] = {label: [] for label in addresses}
    for index, due, sent, ended, outcome, _errno, configuration in evidence["probes"]:
        probes[addresses[index]].append(Probe(due, sent, ended, outcome, configuration))
    for each in probes.values():
        each.sort(key=lambda probe: probe.sent)
    return Timeline(
        seed=evidence["seed"],
        clock=evidence["clock"],
        interval=evidence["interval"],
        addresses=addresses,
        configurations={name: tuple(labels) for name, labels in evidence["configurations"].items()},
        loads=_loads(evidence),
        probes=probes,
        listeners=tuple(
            Listener(each["address"], tuple(each["pids"]), each["from"], each["to"], each["queue"])
            for each in evidence["listeners"]
        ),
        processes=tuple(
            Process(each["pid"], each["kind"], each["from"], each["to"])
            for each in evidence["processes"]
        ),
        tolerance=_tolerance(evidence["sampling"]),
        burden=_burden(evidence["probing"], evidence["sampling"]),
        log=tuple((at, line) for at, line in evidence["log"]),
        reloads=tuple(_reload(each) for each in evidence["reloads"]),
        ended=_ended(evidence),
    )


def _loads(evidence: Mapping[str, Any]) -> tuple[tuple[float, str], ...]:
    """Return when each configuration was loaded: a step begins a moment before its reload."""
    moments = {reload["step"]: reload["at"] for reload in evidence["reloads"]}
    return tuple(
        (moments.get(step["step"], step["at"]), step["what"])
        for step in evidence["steps"]
        if step["verb"] in ("start", "reload")
    )


def _ended(evidence: Mapping[str, Any]) -> Ended | None:
    found = evidence["ended"]
    if found is None:
        return None
    is_start = found["verb"] == "start"
    bound = evidence["configurations"].get(found["what"], ()) if is_start else ()
    missing = tuple(label for label in bound if label not in (found["present"] or ()))
    if is_start and not missing:  # nothing that is watched
        removed = (step["what"] for step in evidence["steps"] if step["verb"] == "remove")
        missing = tuple(removed)
    return Ended(found["step"], found["at"], found["reason"], missing, is_start)


def _tolerance(sampling: Mapping[str, Any]) -> float:
    """Half as much again as a period: with one sample missing, two lie between its neighbours."""
    samples, interval = int(sampling["samples"]), float(sampling["interval"])
    measured = float(sampling["seconds"]) / samples if samples else interval
    return 1.5 * max(interval, measured)


def _burden(probing: Mapping[str, Any], sampling: Mapping[str, Any]) -> float:
    used = float(probing["cpu_seconds"]) + float(sampling["cpu_seconds"])
    there = float(probing["seconds"]) * int(probing["processors"])
    return min(used / there, 1.0) if there else 0.0


def _reload(entry: Mapping[str, Any]) -> Reload:
    names = ("step", "config", "at", "until", "reported", "reported_at", "steady")
    present, in_the_end = tuple(entry["present"]), tuple(entry["finally"])
    return Reload(present=present, in_the_end=in_the_end, **{name: entry[name] for name in names})


@dataclass(frozen=True)
class Stretch:
    """A stretch of probes of an address that failed in a row.

    It lasts from the last success before it to the first after it, or to the end of the reload's
    observation when there was none (`is_over` is false). Where the address failed already when
    the reload was asked for, it begins with the reload.
    """

    start: float
    end: float
    is_over: bool


def stretches(timeline: Timeline, reload: Reload, label: str) -> list[Stretch]:
    """The stretches in which an address failed in a reload: two probes in a row at least.

    In a reload that was overtaken by the next, one may end after `reload.until`.
    """
    earlier = timeline.sent(label, -math.inf, reload.at)
    last_success = earlier[-1].sent if earlier and earlier[-1].is_ok else reload.at
    later = timeline.sent(label, reload.until, timeline.observed_until(reload))
    recovery = next((probe.sent for probe in later if probe.is_ok), None)
    found = []
    window = timeline.sent(label, reload.at, reload.until)
    runs = [list(run) for _, run in itertools.groupby(window, key=lambda probe: probe.is_ok)]
    for run, following in itertools.zip_longest(runs, runs[1:]):
        if run[0].is_ok:
            last_success = run[-1].sent
        elif len(run) > 1:
            end = following[0].sent if following else recovery
            is_over = end is not None
            found.append(Stretch(last_success, reload.until if end is None else end, is_over))
    return found


@dataclass(frozen=True)
class Holding:
    """A time in which a process held a listener of an address, or nobody did.

    `owner` is master, new worker, old worker or stranger, and None, like `pid`, for nobody.
    """

    address: str
    owner: str | None
    pid: int | None
    start: float
    end: float
    queue: int


def holdings(timeline: Timeline, reload: Reload, label: str) -> list[Holding]:
    """Who held an address in the whole cell, in the words that fit a reload, in order of time.

    Nothing when listeners were not observed at all.
    """
    if not timeline.listeners:
        return []
    held: dict[tuple[int, str], list[Listener]] = {}
    own = sorted(
        (each for each in timeline.listeners if each.address == label), key=lambda each: each.start
    )
    for listener in own:
        for pid in listener.pids:
            owner = _owner(timeline, reload, pid, listener)
            held.setdefault((pid, owner), []).append(listener)
    found = [
        Holding(label, owner, pid, start, end, queue)
        for (pid, owner), listeners in held.items()
        for start, end, queue in _merged(listeners, timeline.tolerance)
    ]
    found += [Holding(label, None, None, *bounds, 0) for bounds in _gaps(timeline, reload, own)]
    return sorted(found, key=lambda each: (each.start, each.pid or 0))


def _owner(timeline: Timeline, reload: Reload, pid: int, listener: Listener) -> str:
    """What HAProxy has nothing to do with is a stranger."""
    for process in timeline.processes:
        if process.pid == pid and process.start <= listener.end and process.end >= listener.start:
            if process.kind == "worker":
                return "new worker" if process.start > reload.at else "old worker"
            return process.kind
    return "stranger"


def _merged(listeners: Sequence[Listener], tolerance: float) -> list[tuple[float, float, int]]:
    """Start, end and queue of listeners, in order of their start, that no sample lies between."""
    found: list[tuple[float, float, int]] = []
    for each in listeners:
        if found and each.start - found[-1][1] <= tolerance:
            start, end, queue = found[-1]
            found[-1] = (start, max(end, each.end), max(queue, each.queue))
        else:
            found.append((each.start, each.end, each.queue))
    return found


def _gaps(
    timeline: Timeline, reload: Reload, listeners: Sequence[Listener]
) -> list[tuple[float, float]]:
    """Start and end of the times in which no sample showed any of the listeners."""
    begin = min(reload.at, *(each.start for each in timeline.listeners))
    covered = [(start, end) for start, end, _ in _merged(listeners, timeline.tolerance)]
    # The last sample may be some time before the end; what it saw held is not known to be let go.
    ends = [each.end for each in timeline.listeners] + [each.end for each in timeline.processes]
    last = max(ends)
    is_held = bool(covered) and covered[-1][1] >= last
    finish = covered[-1][1] if is_held else max(reload.until, last)
    edges = [begin, *itertools.chain.from_iterable(covered), finish]
    return [
        (start, end)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if end - start > timeline.tolerance
    ]


def cut(found: Sequence[Holding], start: float, end: float) -> list[Holding]:
    """The parts of holdings that lie between two times."""
    return [
        Holding(
            each.address,
            each.owner,
            each.pid,
            max(each.start, start),
            min(each.end, end),
            each.queue,
        )
        for each in found
        if each.start <= end and each.end >= start
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by a share (0 to 1) of them; 0 without any."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0


@dataclass(frozen=True)
class Phase:
    """A time in which the same `owners` held an address; None among them stands for nobody."""

    owners: frozenset[str | None]
    start: float
    end: float
    queue: int


def phases(timeline: Timeline, found: Sequence[Holding], start: float, end: float) -> list[Phase]:
    """One after another, who held an address between two times, by its holdings.

    What is shorter than the samples can tell is left out, unless there is nothing longer.
    """
    inside = cut(found, start, end)
    edges = sorted({start, end, *(h.start for h in inside), *(h.end for h in inside)})
    pieces = []
    for begin, finish in itertools.pairwise(edges):
        there = [each for each in inside if each.start <= begin and each.end >= finish]
        if there:
            owners = frozenset(each.owner for each in there)
            pieces.append(Phase(owners, begin, finish, max(each.queue for each in there)))
    joined = _joined(pieces)
    long = [each for each in joined if each.end - each.start > timeline.tolerance]
    return _joined(long or sorted(joined, key=lambda each: each.start - each.end)[:1])


def _joined(pieces: Sequence[Phase]) -> list[Phase]:
    """Phases of the same owners, one right after another, as one."""
    found = []
    for owners, group in itertools.groupby(pieces, key=lambda each: each.owners):
        same = list(group)
        queue = max(each.queue for each in same)
        found.append(Phase(owners, same[0].start, same[-1].end, queue))
    return found
