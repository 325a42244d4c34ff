"""Timelines: the evidence of a cell, as `timeline.json` has it, and the arithmetic on it.

Times are seconds on the guest's monotonic clock since the cell began, unless said otherwise.
"""

from __future__ import annotations

import functools
import itertools
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

import pydantic

from hatester.util.text import grouped
from hatester.util.validation import sentence
from provision.guest.client_records import Probe
from provision.guest.message_bounds import Length, Moment, Name, Names, Number, Outcome
from provision.guest.protocol import CheckedConnection, Evidence, Listener, Reload

LOADS = ("start", "restart", "reload")
"""The verbs by which HAProxy gets a configuration; a server that is started again has none."""
OVERTAKING_SECONDS = 1.0
"""At most, from the end of an observation to the reload that ended it before it was steady."""

STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
"""The validation of data from a guest."""


@dataclass(frozen=True)
class Check:
    """One connection to each address at one moment, from within the guest and from outside.

    `at` is seconds since the last start or reload, which was step `reload`.
    """

    step: Number
    reload: Number | None
    at: Moment
    outcomes: Mapping[Name, Outcome]
    outside: Mapping[Name, Outcome]
    connections: Mapping[Name, CheckedConnection] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Timeline(Evidence):
    """All that is known of a cell: the guest's evidence, and what its host adds."""

    __pydantic_config__: ClassVar = STRICT

    seed: Annotated[int, pydantic.Field(ge=0, le=1 << 63, strict=True)]
    """Decides everything in the cell that chance would decide."""
    clock: Literal["real", "virtual"]
    """The clock that the guest's time followed."""
    configurations: Mapping[Name, Names]
    """The addresses that each binds."""
    checks: Annotated[tuple[Check, ...], Length(4096)]
    certificates: Annotated[Mapping[Name, Name], Length(4096)] = field(default_factory=dict)
    """The files of the scenario's certificates, by their SHA-256 in hexadecimal."""
    failed: str | None = None
    """The reason why the cell could not be measured."""

    @functools.cached_property
    def by_address(self) -> Mapping[str, Sequence[Probe]]:
        """The probes of each address, in the order in which they were sent."""
        ordered = sorted(self.probes, key=lambda probe: probe.sent)
        return grouped((self.addresses[probe.destination], probe) for probe in ordered)

    @functools.cached_property
    def held(self) -> Sequence[str]:
        """The addresses whose listeners were watched: also those of UDP, which are not asked."""
        return [*dict.fromkeys((*self.addresses, *(each.address for each in self.listeners)))]

    @functools.cached_property
    def loads(self) -> tuple[tuple[float, str], ...]:
        """The starts and reloads: when, and of which configuration.

        A step begins a moment before its reload.
        """
        moments = {reload.step: reload.at for reload in self.reloads}
        return tuple(
            (moments.get(step.step, step.at), step.what or "")
            for step in self.steps
            if step.verb in LOADS
        )

    @functools.cached_property
    def tolerance(self) -> float:
        """The longest time that may lie between two samples of the listeners.

        Half as much again as a period: with one sample missing, two lie between its neighbours.
        """
        sampling = self.sampling
        measured = sampling.seconds / sampling.samples if sampling.samples else sampling.interval
        return 1.5 * max(sampling.interval, measured)

    @functools.cached_property
    def last_sample(self) -> float:
        """The end of all that the samples show of listeners and processes; 0 without any."""
        return max((each.end for each in (*self.listeners, *self.processes)), default=0.0)

    @functools.cached_property
    def has_master(self) -> bool:
        return any(process.kind == "master" for process in self.processes)

    def name_owner(self, owner: str) -> str:
        """Return the holder of a listener in words; without a master, workers are processes."""
        return owner if self.has_master else owner.replace("worker", "process")

    @functools.cached_property
    def burden(self) -> float:
        """Return the share of the guest's processors that watching took, from 0 to 1."""
        used = self.probing.cpu_seconds + self.sampling.cpu_seconds
        there = self.probing.seconds * self.probing.processors
        return min(used / there, 1.0) if there else 0.0

    def sent(self, label: str, start: float, end: float) -> Sequence[Probe]:
        """Return an address's probes that were sent from `start` up to, but not at, `end`."""
        probes = self.by_address.get(label, ())
        first = bisect_left(probes, start, key=lambda probe: probe.sent)
        return probes[first : bisect_left(probes, end, key=lambda probe: probe.sent)]

    def observed_until(self, reload: Reload) -> float:
        """Return when a reload's observation ended, which one that overtakes it continues."""
        return self._last_observed(reload).until

    def is_settled(self, reload: Reload) -> bool:
        """Return whether every address answered, or failed, in one way when that ended."""
        return self._last_observed(reload).steady

    def _last_observed(self, reload: Reload) -> Reload:
        """Return the reload itself, or the last of those that overtook one another after it."""
        last = reload
        for following in self.reloads:
            if following.at <= reload.at:
                continue
            if last.steady or following.at - last.until > OVERTAKING_SECONDS:
                break
            last = following
        return last

    def is_overtaken(self, reload: Reload) -> bool:
        """Return whether the next reload was asked for before this one was observed to its end."""
        return self.observed_until(reload) > reload.until


def read(content: Mapping[str, object]) -> Timeline:
    """Return the content of a cell's `timeline.json` as a timeline.

    Raises ValueError, with the first mistake, for anything else: a verdict must not be computed
    from evidence that no guest produced.
    """
    try:
        timeline = _form().validate_python(content)
    except pydantic.ValidationError as error:
        raise ValueError(sentence(error).rstrip(".")) from error
    require_sound(timeline)
    return timeline


@functools.cache
def _form() -> pydantic.TypeAdapter[Timeline]:
    return pydantic.TypeAdapter(Timeline)


def require_sound(evidence: Evidence) -> None:
    """Raise ValueError where parts of evidence contradict one another."""
    if len({*evidence.addresses}) < len(evidence.addresses):
        raise ValueError("addresses: one comes twice")
    if any(probe.destination >= len(evidence.addresses) for probe in evidence.probes):
        raise ValueError("probes: an address was asked that is not there")
    steps = [reload.step for reload in evidence.reloads]
    if sorted({*steps}) != steps:
        raise ValueError("reloads: their steps are out of order")
    moments = [reload.at for reload in evidence.reloads]
    if sorted(moments) != moments:
        raise ValueError("reloads: their times are out of order")


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
    """Return the holders of an address in the whole cell, in order of time, named as of a reload.

    There are none when listeners were not observed at all.
    """
    if not timeline.listeners:
        return []
    own = _of_address(timeline.listeners, label)
    found = _holdings(timeline, reload, label, own)
    found += [Holding(label, None, None, *bounds, 0) for bounds in _gaps(timeline, reload, own)]
    return sorted(found, key=lambda each: (each.start, each.pid or 0))


def dormant_holdings(timeline: Timeline, reload: Reload, label: str) -> list[Holding]:
    """Return the holders of an address's sockets that had left LISTEN, named as of a reload."""
    return _holdings(timeline, reload, label, _of_address(timeline.dormant, label))


def _of_address(sockets: Sequence[Listener], label: str) -> list[Listener]:
    return sorted((each for each in sockets if each.address == label), key=lambda each: each.start)


def _holdings(
    timeline: Timeline, reload: Reload, label: str, sockets: Sequence[Listener]
) -> list[Holding]:
    held = grouped(
        ((pid, _owner(timeline, reload, pid, socket)), socket)
        for socket in sockets
        for pid in socket.pids
    )
    return [
        Holding(label, owner, pid, start, end, queue)
        for (pid, owner), same in held.items()
        for start, end, queue in _merge(same, timeline.tolerance)
    ]


def _owner(timeline: Timeline, reload: Reload, pid: int, listener: Listener) -> str:
    """Return the kind of a listener's holder; a process that was not seen is a stranger."""
    for process in timeline.processes:
        if process.pid == pid and process.start <= listener.end and process.end >= listener.start:
            if process.kind == "worker":
                return "new worker" if process.start > reload.at else "old worker"
            return process.kind
    return "stranger"


def _merge(listeners: Sequence[Listener], tolerance: float) -> list[tuple[float, float, int]]:
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
    covered = [(start, end) for start, end, _ in _merge(listeners, timeline.tolerance)]
    # The last sample may be some time before the end; what it saw held is not known to be let go.
    last = timeline.last_sample
    is_held = bool(covered) and covered[-1][1] >= last
    finish = covered[-1][1] if is_held else max(reload.until, last)
    edges = [begin, *itertools.chain.from_iterable(covered), finish]
    return [
        (start, end)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if end - start > timeline.tolerance
    ]


def cut(found: Sequence[Holding], start: float, end: float) -> list[Holding]:
    """Return the parts of holdings between two times."""
    return [
        replace(each, start=max(each.start, start), end=min(each.end, end))
        for each in found
        if each.start <= end and each.end >= start
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that a share (0 to 1) of them does not exceed; 0 without any."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0


@dataclass(frozen=True)
class Phase:
    """A time in which the same `owners` held an address; None among them stands for nobody."""

    owners: frozenset[str | None]
    start: float
    end: float
    queue: int


def phases(timeline: Timeline, found: Sequence[Holding], start: float, end: float) -> list[Phase]:
    """Return the phases of an address between two times, by its holdings.

    A phase that is shorter than the samples can show is left out, unless there is none longer.
    """
    inside = cut(found, start, end)
    edges = sorted({start, end, *(h.start for h in inside), *(h.end for h in inside)})
    pieces = []
    for begin, finish in itertools.pairwise(edges):
        there = [each for each in inside if each.start <= begin and each.end >= finish]
        if there:
            owners = frozenset(each.owner for each in there)
            pieces.append(Phase(owners, begin, finish, max(each.queue for each in there)))
    joined = _join(pieces)
    long = [each for each in joined if each.end - each.start > timeline.tolerance]
    return _join(long or sorted(joined, key=lambda each: each.start - each.end)[:1])


def _join(pieces: Sequence[Phase]) -> list[Phase]:
    """Return phases, with those of the same owners that follow one another as one."""
    return [merge(*same) for _, same in itertools.groupby(pieces, key=lambda each: each.owners)]


def merge(*phases: Phase) -> Phase:
    """Return phases of the same owners as one, from the first beginning to the last end."""
    return Phase(
        phases[0].owners,
        min(each.start for each in phases),
        max(each.end for each in phases),
        max(each.queue for each in phases),
    )
