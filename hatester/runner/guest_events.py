"""Events of a guest: one after another, up to the end of a sequence."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated

import pydantic

from hatester.analysis.timeline import STRICT
from hatester.guests.guest import RACE, Guest
from hatester.guests.messages import SILENCE_SECONDS, Channel, GuestFault, Lines, parse
from hatester.runner.client_verification import require
from hatester.runner.guest_verification import Account
from hatester.util.errors import MeasurementError
from provision.guest.plan import Plan
from provision.guest.protocol import LAST_EVENTS, Alive, Event


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
