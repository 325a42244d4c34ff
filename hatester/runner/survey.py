"""Surveys: HAProxy in a guest is asked about a configuration of the user's own."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pydantic

from hatester.analysis.model import UserConfiguration
from hatester.analysis.timeline import STRICT
from hatester.guests.guest import PROGRAM, TALK, Guest, build_root
from hatester.guests.messages import GuestFault, parse
from hatester.matrix.plan import Plan
from hatester.matrix.scenario import ABSENT, AFTER, BEFORE, LOST, MADE, PLAIN
from hatester.matrix.surroundings.surroundings import foreign_words
from hatester.runner import config_scenarios
from hatester.runner.guest_plan import root_content
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError, tail
from provision.guest.plan import Question, ServerAnswers
from provision.guest.protocol import Answer, Refusal, encode

_FILE = f"{TALK}/survey.json"
SECONDS = 600
"""For a survey in which every wait in the guest takes as long as it may."""


@dataclass(frozen=True)
class Surveyed:
    """A configuration, and the answers of a build about the one in service and the next one."""

    own: Own
    build: str
    before: Answer
    after: Answer

    @cached_property
    def scenarios(self) -> dict[str, dict[str, Any]]:
        """Return the content of a scenario.yml by its name."""
        return config_scenarios.scenarios(self.own, self.before, self.after)

    @property
    def said(self) -> tuple[str, ...]:
        """Return a sentence about each thing that was made for it, or left out."""
        around, made = self.own.around, {*self.before.made, *self.after.made}
        needless = {note for path, note in around.notes.items() if path not in made}
        return tuple(each for each in around.said if each not in needless)

    def describe(self) -> UserConfiguration:
        """Return the configuration as `run.json` has it."""
        binds = {**self.after.binds, **self.before.binds}
        reasons = {label: "it takes no connection" for label, each in binds.items() if not each}
        groups = config_scenarios.groups(self.own, self.before, self.after)
        return UserConfiguration.model_validate(
            {
                "names": self.own.names if self.own.is_changed else self.own.names[:1],
                "build": self.build,
                "binds": binds,
                "unwatched": {**reasons, **dict.fromkeys(self.own.datagrams, "it is bound by UDP")},
                "groups": {name: tuple(addresses) for name, addresses in groups.items()},
                "failing": tuple(dict.fromkeys((*self.before.failing, *self.after.failing))),
                "said": self.said,
                "env": dict(self.own.env),
            }
        )


def survey_configuration(guest: Guest, build: str, own: Own) -> Surveyed:
    """Ask a build about a configuration. Raises MeasurementError if it does not accept it."""
    try:
        before = _ask(guest, build, _question(own, build, BEFORE))
        after = _ask(guest, build, _question(own, build, AFTER)) if own.is_changed else before
    except MeasurementError as error:
        raise MeasurementError("; ".join([str(error), *_hints(own)])) from error
    return Surveyed(own, build, before, after)


def _hints(own: Own) -> list[str]:
    """Return possible reasons why a configuration is not accepted."""
    texts = dict(zip(own.names, (own.before, own.after), strict=True))
    return [
        f"{name}, line {line}: {word} may be the reason, which only the OpenSSL of RHEL and its "
        "kin knows"
        for name, text in texts.items()
        for line, word in foreign_words(text)
    ]


def _question(own: Own, build: str, configuration: str) -> Question:
    """Return the question about a configuration."""
    made = {MADE + path.lstrip("/"): text for path, text in own.around.made.items()}
    return Question(
        tree=build_root(build),
        text=own.texts[configuration],
        root=root_content({**own.files, **made}, own.root, own.env),
        interfaces=config_scenarios.interfaces(own),
        through=own.interfaces,
        ranges=own.ranges,
        servers=own.checks.servers,
        shifted=own.checks.shifted,
        answers=ServerAnswers(**own.played),
        site=own.site,
        peer=own.peer,
    )


def without_needless(plan: Plan) -> Plan:
    """Return a plan with helping settings only where an address is missing for a whole reload."""
    cells = [
        cell
        for cell in plan.cells
        if cell.setting == PLAIN or cell.scenario.startswith((f"{LOST}-", f"{ABSENT}-"))
    ]
    return replace(plan, cells=cells)


def _ask(guest: Guest, build: str, question: Question) -> Answer:
    """Ask a build about a configuration.

    Raises MeasurementError when HAProxy does not start with it, with its first alert. Raises it
    also when HAProxy binds nothing that can be asked, and when the guest answers anything else.
    """
    guest.put(encode(question).encode(), _FILE)
    try:
        said = guest.run(f"python3 {PROGRAM} survey {shlex.quote(_FILE)}", SECONDS)
    finally:
        guest.run(f"rm -f {shlex.quote(_FILE)}")
    try:
        answer = parse(said.encode(errors="replace"), _answer())
    except GuestFault as error:
        raise MeasurementError(f"guest {guest.machine}, the survey: it {error}") from error
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
