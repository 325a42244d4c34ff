"""Events of a guest: read with bounds, validated, and held against the plan of its cell.

A guest may send anything. Any fault raises MeasurementError with one sentence, and costs the cell,
never the run.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Protocol, TypeVar

import pydantic
import pydantic_core

from hatester.analysis.timeline import STRICT, require_sound
from hatester.guests.guest import RACE, Guest
from hatester.util.errors import MeasurementError
from hatester.util.text import brief
from hatester.util.validation import sentence
from provision.guest.plan import Plan, PlannedStep
from provision.guest.protocol import (
    LAST_EVENTS,
    MESSAGE_BYTES,
    Alive,
    Begin,
    End,
    Event,
    Evidence,
    Failed,
    GuestCheck,
    Held,
    Next,
    TakenStep,
)

SILENCE_SECONDS = 120.0
"""After which a guest that sends nothing is lost. It gives a sign of life after 15 seconds of its
own time (provision/guest/events.py)."""
SEQUENCE_BYTES = 2 * MESSAGE_BYTES
"""Of all events of one sequence."""
VALUES, FIELDS = 4_000_000, 200_000
"""Of one event, at most: what each becomes takes many times its bytes."""
_CHUNK_BYTES = 1 << 16
_ROUNDING = 1e-3
"""Seconds by which times that are rounded, or measured one after another, may differ."""

SLACK_SECONDS = 60.0
"""By which a guest's time may be ahead at the beginning of a cell."""

T = TypeVar("T")


class GuestFault(MeasurementError):
    """A guest's program did something that it must not: a predicate, to be put after its name.

    `words` is what else there is to say.
    """

    def __init__(self, fault: str, words: str = "") -> None:
        super().__init__(fault)
        self.words = words


class Channel(Protocol):
    """The way to the guest's program; paramiko's channel is one."""

    def settimeout(self, seconds: float) -> None:
        """Have `recv` raise TimeoutError after so many seconds."""

    def recv(self, size: int) -> bytes:
        """Return what has come, or nothing at the end."""


class Lines:
    """Lines from a guest, bounded in length, in number of bytes, and in total time."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel = channel
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self.rest = bytearray()
        """What came after the last line that was read."""
        self._left = SEQUENCE_BYTES

    def read(self) -> bytes | None:
        """Return the next line; None at the end.

        Raises GuestFault when a bound is exceeded, and TimeoutError when nothing comes.
        """
        searched = 0
        while (end := self.rest.find(b"\n", searched)) < 0:
            searched = len(self.rest)
            if searched >= MESSAGE_BYTES:
                raise GuestFault(f"sent a line of more than {MESSAGE_BYTES} bytes")
            if not (chunk := self._receive()):
                return None
            self.rest += chunk
        line = bytes(self.rest[:end])
        del self.rest[: end + 1]
        return line

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise GuestFault(f"did not come to its end within {self._seconds:.0f} s")
        # The last part of the time must not be taken for silence.
        is_last = left < SILENCE_SECONDS
        self._channel.settimeout(left if is_last else SILENCE_SECONDS)
        try:
            chunk = self._channel.recv(_CHUNK_BYTES)
        except TimeoutError:
            if is_last:
                return self._receive()
            raise
        self._left -= len(chunk)
        if self._left < 0:
            raise GuestFault(f"sent more than {SEQUENCE_BYTES} bytes")
        return chunk


def parse(line: bytes, form: pydantic.TypeAdapter[T]) -> T:
    """Return a line of JSON from a guest as a message.

    Raises GuestFault, with the first mistake, for anything else.
    """
    if line.count(b",") > VALUES or line.count(b'":') > FIELDS:
        raise GuestFault(f"sent more than {VALUES} values or {FIELDS} fields at once")
    try:
        content = pydantic_core.from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise GuestFault(f"sent '{brief(repr(line[:80]))}': {error}") from error
    try:
        return form.validate_python(content)
    except pydantic.ValidationError as error:
        raise GuestFault(f"sent {sentence(error).rstrip('.')}") from error


@functools.cache
def _event() -> pydantic.TypeAdapter[Event]:
    form = Annotated[Event, pydantic.Field(discriminator="event")]
    return pydantic.TypeAdapter(form, config=STRICT)


def events(guest: Guest, channel: Channel, plan: Plan, seconds: float) -> Iterator[Event]:
    """Yield the events of one sequence up to its end, without the signs of life.

    Raises MeasurementError when the guest sends anything else, falls silent, ends too early, or
    takes longer than so many seconds. It is lost then, since what it may still send would be taken
    for the next sequence's.
    """
    lines = Lines(channel, seconds)
    account = Account(plan, _pace(guest))
    last, is_over = "its beginning", False
    try:
        while not is_over:
            if (line := lines.read()) is None:
                raise GuestFault("ended", guest.complaint())
            event = parse(line, _event())
            if isinstance(event, Alive):
                continue
            account.add(event)
            is_last = event.event in LAST_EVENTS
            require(not (is_last and lines.rest), "sent more after its end")
            last, is_over = f"its event '{event.event}'", is_last
            yield event
    except TimeoutError:
        # It would not answer either if it were asked for a log.
        fault = f"the guest was silent for {SILENCE_SECONDS:.0f} s after {last}"
        raise MeasurementError(f"{fault}: {guest.last_words()}") from None
    except GuestFault as error:
        words = f": {error.words}" if error.words else ""
        raise MeasurementError(f"the guest's program {error} after {last}{words}") from error
    finally:
        guest.is_lost |= not is_over


def _pace(guest: Guest) -> float:
    """Return how many seconds may pass in a guest while one passes here."""
    return RACE if guest.engine.is_virtual else 2.0


class Account:
    """The account that a guest gives of a cell, event by event, held against its plan.

    `pace` is how many seconds may pass in the guest while one passes here.
    """

    def __init__(self, plan: Plan, pace: float) -> None:
        self._plan = plan
        self._pace = pace
        self._start = time.monotonic()
        self._state = "new"
        self._steps: list[TakenStep] = []
        self._last_check = 0
        self._labels = {each.label for each in plan.destinations}

    def add(self, event: Event) -> None:
        """Take an event. Raises GuestFault where it cannot be true or cannot come now."""
        before = {
            "begin": ("new",), "tainted": ("new",), "next": ("begun",), "held": ("through",),
            "failed": ("new", "begun", "through"), "end": ("through",), "serving": (),
            "broken": ("new", "begun", "through", "held"),
        }  # fmt: skip
        if event.event == "end" and self._plan.hold:
            before["end"] = ("held",)
        require(self._state in before.get(event.event, ()), f"sent '{event.event}' out of its turn")
        if isinstance(event, Begin):
            self._state = "begun"
        elif isinstance(event, Held):
            require(self._plan.hold, "stays, though it was not asked to")
            self._state = "held"
        elif isinstance(event, Next):
            self._add_next(event)
        elif isinstance(event, Failed):
            self._add_checks(event.checks)
            self._verify(event.evidence)
        elif isinstance(event, End):
            self._verify(event.evidence)
            require(
                event.evidence.ended or len(event.evidence.steps) == len(self._plan.steps),
                "came to its end without having taken all steps",
            )

    def _add_next(self, event: Next) -> None:
        self._steps += event.taken
        self._require_taken(self._steps)
        self._add_checks(event.checks)
        if event.step is None:
            self._state = "through"
        else:
            require(
                event.step == len(self._steps) + 1 <= len(self._plan.steps),
                f"is at step {event.step} after {len(self._steps)} of {len(self._plan.steps)}",
            )

    def _require_taken(self, steps: Sequence[TakenStep]) -> None:
        """Raise GuestFault unless these steps are the first of the plan."""
        require(
            len(steps) <= len(self._plan.steps),
            f"took {len(steps)} steps of {len(self._plan.steps)}",
        )
        for number, (taken, planned) in enumerate(zip(steps, self._plan.steps, strict=False), 1):
            require(
                (taken.step, taken.verb, taken.what) == (number, planned.verb, planned.what),
                f"took step {taken.step}, {taken.verb} {taken.what}, in place of step {number}, "
                f"{planned.verb} {planned.what}",
            )
            self._require_time(taken.at, f"step {number}")

    def _add_checks(self, checks: Sequence[GuestCheck]) -> None:
        for check in checks:
            step = self._planned(check.step, "check")
            require(check.step > self._last_check, f"took the check of step {check.step} twice")
            self._last_check = check.step
            reloads = [
                number
                for number, each in enumerate(self._plan.steps[: check.step], start=1)
                if each.verb == "reload"
            ]
            require(
                check.reload == (reloads[-1] if reloads else None),
                f"checked after the reload of step {check.reload} in step {check.step}",
            )
            asked = {self._plan.destinations[index].label for index in step.order}
            self._require_labels(check.connections, f"the check of step {check.step}")
            require(
                {*check.connections} == asked,
                f"did not ask all addresses in the check of step {check.step}",
            )

    def _planned(self, number: int, verb: str) -> PlannedStep:
        """Return the step of a number. Raises GuestFault where it has another verb."""
        steps = self._plan.steps
        is_there = 1 <= number <= len(steps) and steps[number - 1].verb == verb
        require(is_there, f"reports a {verb} in step {number}, which is none")
        return steps[number - 1]

    def _verify(self, evidence: Evidence) -> None:
        """Raise GuestFault where evidence contradicts the plan, the events, or itself."""
        try:
            require_sound(evidence)
        except ValueError as error:
            raise GuestFault(f"contradicts itself: {error}") from error
        plan = self._plan
        sent = (evidence.interval, evidence.life, [*evidence.addresses])
        labels = [each.label for each in plan.destinations]
        require(
            sent == (plan.probe_interval, plan.connection_seconds, labels),
            "watched other addresses, or otherwise, than was asked for",
        )
        self._require_taken(evidence.steps)
        require(
            [*evidence.steps[: len(self._steps)]] == self._steps,
            "reports other steps than before",
        )
        self._require_reloads(evidence)
        lacking = plan.sysctls if plan.lenient else ()
        require({*evidence.lacking} <= {*lacking}, "lacks a sysctl that was not asked for")
        if evidence.ended and evidence.ended.is_start:
            step = self._planned(evidence.ended.step or 0, "start")
            require(
                [*evidence.ended.missing] == [*step.missing], "misses other addresses than planned"
            )
        self._require_labels((each.address for each in evidence.listeners), "its listeners")
        self._require_times(evidence)

    def _require_reloads(self, evidence: Evidence) -> None:
        for reload in evidence.reloads:
            step = self._planned(reload.step, "reload")
            received = (reload.config, [*reload.present], [*reload.in_the_end])
            require(
                received == (step.what, [*step.present], [*step.in_the_end]),
                f"reports another reload in step {reload.step} than was planned",
            )
            reported = reload.at if reload.reported_at is None else reload.reported_at
            require(
                reload.at - _ROUNDING <= reported <= reload.until + _ROUNDING,
                f"has a report at {reported:g} s for a reload from {reload.at:g} to "
                f"{reload.until:g} s",
            )

    def _require_labels(self, labels: Iterable[str], where: str) -> None:
        for label in labels:
            require(label in self._labels, f"has {brief(label)} in {where}, which is not watched")

    def _require_times(self, evidence: Evidence) -> None:
        """Raise GuestFault where a time lies outside of the cell."""
        for probe in evidence.probes:
            require(
                probe.due - _ROUNDING <= probe.sent <= probe.ended + _ROUNDING,
                f"has a probe that was due at {probe.due:g} s, sent at {probe.sent:g} s, and ended "
                f"at {probe.ended:g} s",
            )
        moments = [evidence.log[-1].at if evidence.log else 0.0]
        moments += [probe.ended for probe in evidence.probes]
        moments += [each.end for each in (*evidence.listeners, *evidence.processes)]
        moments += [each.until for each in evidence.reloads]
        moments += [evidence.ended.at] if evidence.ended else []
        self._require_time(max(moments), "its evidence")
        logged = [line.at for line in evidence.log]
        require(logged == sorted(logged), "has a log that is out of order")

    def _require_time(self, at: float, where: str) -> None:
        passed = (time.monotonic() - self._start + SLACK_SECONDS) * self._pace
        require(
            at <= passed,
            f"has a time of {at:g} s in {where}, of which at most {passed:.0f} s have passed",
        )


def require(is_so: object, fault: str) -> None:
    """Raise GuestFault unless something is so."""
    if not is_so:
        raise GuestFault(fault)
