"""A cell in a guest: its plan is sent, its steps are followed, and the evidence is brought back."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import paramiko

from hatester.analysis.timeline import Check, Timeline
from hatester.guests import qmp
from hatester.guests.guest import Guest
from hatester.guests.messages import SILENCE_SECONDS
from hatester.matrix.binds import Bind
from hatester.runner.external_probe import look
from hatester.runner.guest_events import events
from hatester.runner.guest_plan import Order, guest_plan
from hatester.util.errors import MeasurementError, tail
from hatester.util.text import displayable
from provision.guest.message_bounds import Outcome
from provision.guest.plan import Plan
from provision.guest.protocol import (
    Begin,
    Broken,
    End,
    Event,
    Evidence,
    Failed,
    GuestCheck,
    Held,
    Next,
    Probing,
    Sampling,
    Tainted,
    TakenStep,
    encode,
)

OUTSIDE_CONNECTIONS = 32
"""At once, from the host; a request that hangs must not keep the next check's waiting."""

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?")
REASON_CHARACTERS = 4000
"""Of the reason for an error, at most."""


@dataclass
class Record:
    """The evidence of a cell so far."""

    timeline: Timeline
    release: str | None = None
    """Of the kernel, by the guest's own word; `haproxy_version` likewise."""
    haproxy_version: str | None = None

    @classmethod
    def of(cls, plan: Plan, order: Order, clock: str) -> Record:
        """Return the record of a cell in which nothing was seen yet."""
        timeline = Timeline(
            seed=order.seed,
            clock="virtual" if clock == "virtual" else "real",
            configurations={
                name: tuple(bind.label for bind in configuration.binds)
                for name, configuration in order.scenario.configurations.items()
            },
            certificates=_certificates(order.scenario.files),
            **vars(_empty_evidence(plan)),
            checks=(),
        )
        return cls(timeline)

    def add_check(self, check: GuestCheck, outside: Mapping[str, Outcome]) -> None:
        """Add a check, with the outcomes of the view from outside by address."""
        connections = check.connections
        added = Check(
            step=check.step,
            reload=check.reload,
            at=min((each.at for each in connections.values()), default=0.0),
            outcomes={label: each.outcome for label, each in connections.items()},
            outside=dict(outside),
            connections=connections,
        )
        self.timeline = dataclasses.replace(self.timeline, checks=(*self.timeline.checks, added))

    def add_evidence(self, evidence: Evidence) -> None:
        """Add what the guest has seen."""
        self.timeline = dataclasses.replace(self.timeline, **vars(evidence))

    def fail(self, reason: str) -> None:
        """Note why the cell could not be measured. A guest may have written the reason."""
        reason = displayable(reason[:REASON_CHARACTERS])
        self.timeline = dataclasses.replace(self.timeline, failed=reason)


def _certificates(files: Mapping[str, str]) -> dict[str, str]:
    """Return the names of files by the SHA-256 of the first certificate in each."""
    found = {}
    for name, text in files.items():
        if certificate := _CERTIFICATE.search(text):
            with contextlib.suppress(ValueError):
                shown = ssl.PEM_cert_to_DER_cert(certificate[0])
                found[hashlib.sha256(shown).hexdigest()] = name
    return found


def _empty_evidence(plan: Plan) -> Evidence:
    """Return the evidence of a cell in which nothing was seen."""
    return Evidence(
        interval=plan.probe_interval,
        life=plan.connection_seconds,
        addresses=tuple(each.label for each in plan.destinations),
        steps=(), reloads=(), lacking=(), ended=None, log=(), probes=(),
        probing=Probing(0.0, 0.0, 1), listeners=(), processes=(),
        sampling=Sampling(0.0, 0, 0.0, 0.0),
    )  # fmt: skip


class TaintedGuest(Exception):
    """A guest is not as it was before its first cell; the message names the traces."""


def measure(
    guest: Guest,
    plan: Plan,
    binds: tuple[Bind, ...],
    record: Record,
    at_step: Callable[[int], None],
) -> None:
    """Run a plan in a guest, watching from within and from outside, where `binds` can be seen.

    Evidence is recorded at once, so that it is there if the rest fails. `at_step` is called
    with the number of each step that is next. Raises TaintedGuest when the guest is not clean, and
    MeasurementError when the steps cannot be run to their end.
    """
    with (
        guest.reachable("the sequence"),
        qmp.forward_ports(guest.folder, binds) as ports,
        _connections() as pool,
    ):
        channel = _begin(guest, plan)
        for event in events(guest, channel, plan, plan.seconds + SILENCE_SECONDS):
            if not isinstance(event, Next):
                _add(record, event)
                continue
            _log_commands(guest, event.taken)
            if event.step:
                at_step(event.step)
            for number, check in enumerate(event.checks, start=1):
                is_last = number == len(event.checks)
                record.add_check(check, look(pool, _there(ports, check)) if is_last else {})
            channel.sendall(b"\n")


@contextlib.contextmanager
def held(guest: Guest, order: Order, steps: int) -> Iterator[None]:
    """While it is open, the guest stands as it is after so many steps of a scenario, unwatched.

    Raises MeasurementError when it does not get there.
    """
    plan = guest_plan(order, guest.engine.clock)
    plan = dataclasses.replace(plan, steps=plan.steps[:steps], hold=True)
    record = Record.of(plan, order, guest.engine.clock)
    with guest.reachable("the sequence"):
        channel = _begin(guest, plan)
        # The guest bounds what comes before; how long the user stays is theirs.
        following = events(guest, channel, plan, math.inf)
        for event in following:
            if isinstance(event, Held):
                break
            if isinstance(event, Next):
                _log_commands(guest, event.taken)
                channel.sendall(b"\n")
            else:
                _add(record, event)
    try:
        yield
    finally:
        with guest.reachable("the sequence"):
            channel.sendall(b"\n")
            for event in following:
                _add(record, event)


def _begin(guest: Guest, plan: Plan) -> paramiko.Channel:
    """Have the guest's program carry out a plan; return the channel of its events."""
    channel = guest.server()
    channel.settimeout(SILENCE_SECONDS)
    channel.sendall(encode(plan).encode() + b"\n")
    return channel


@contextlib.contextmanager
def _connections() -> Iterator[Executor]:
    """Threads for connections from outside; each ends with its connection, which is bounded."""
    pool = ThreadPoolExecutor(OUTSIDE_CONNECTIONS)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _add(record: Record, event: Event) -> None:
    match event:
        case Begin():
            record.release, record.haproxy_version = event.release, event.haproxy
        case Tainted():
            raise TaintedGuest(tail(", ".join(event.traces)))
        case Broken():
            raise MeasurementError(f"the guest's program failed: {tail(event.reason)}")
        case End():
            record.add_evidence(event.evidence)
        case Failed():
            record.add_evidence(event.evidence)
            for check in event.checks:
                record.add_check(check, {})
            raise MeasurementError(tail(event.reason))


def _log_commands(guest: Guest, steps: tuple[TakenStep, ...]) -> None:
    for step in steps:
        for command in step.commands:
            guest.log_command(command)


def _there(ports: Mapping[Bind, int], check: GuestCheck) -> dict[Bind, int]:
    """Return the ports of what can be reached in the guest; the rest would only keep silent."""
    return {
        bind: port
        for bind, port in ports.items()
        if check.connections[bind.label].outcome != "unreachable"
    }
