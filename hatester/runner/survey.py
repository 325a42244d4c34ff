"""What a configuration binds and talks to: asked of HAProxy itself, in a guest."""

from __future__ import annotations

import functools
import io
import shlex

import pydantic

from hatester.analysis.timeline import STRICT
from hatester.guests.guest import PROGRAM, TALK, Guest
from hatester.runner.guest_events import GuestFault, parse
from hatester.util.errors import MeasurementError, tail
from provision.guest.plan import Question
from provision.guest.protocol import Answer, Refusal, encode

_FILE = f"{TALK}/survey.json"
SECONDS = 600
"""For a survey in which every wait in the guest takes as long as it may."""


def survey(guest: Guest, build: str, question: Question) -> Answer:
    """Ask a build about a configuration.

    Raises MeasurementError when HAProxy does not start with it, with its first alert; when it binds
    nothing that can be asked; and when the guest answers anything else.
    """
    with guest.reachable("the survey"):
        guest.connection.put(io.BytesIO(encode(question).encode()), _FILE)
    try:
        said = guest.run(f"python3 {PROGRAM} survey {shlex.quote(_FILE)}", SECONDS)
    finally:
        guest.run(f"rm -f {shlex.quote(_FILE)}")
    try:
        answer = parse(said.encode(errors="replace"), _answer())
    except GuestFault as error:
        raise MeasurementError(f"guest {guest.machine}, the survey {error}") from error
    if isinstance(answer, Refusal):
        raise MeasurementError(f"HAProxy {build}: {tail(answer.refused)}")
    if not any(answer.binds.values()):
        raise MeasurementError(
            f"HAProxy {build} binds nothing by TCP that takes connections with this configuration; "
            f"it binds {', '.join(answer.binds) or 'nothing'}"
        )
    return answer


@functools.cache
def _answer() -> pydantic.TypeAdapter[Answer | Refusal]:
    return pydantic.TypeAdapter(Answer | Refusal, config=STRICT)
