"""What HAProxy in a guest makes of a configuration of the user's own, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hatester.guests.guest import Guest, build_root
from hatester.matrix.plan import Plan
from hatester.matrix.scenario import ABSENT, AFTER, BEFORE, LOST, MADE, PLAIN
from hatester.matrix.surroundings.surroundings import foreign_words
from hatester.runner import config_scenarios
from hatester.runner.guest_plan import root_content
from hatester.runner.survey import survey
from hatester.runner.user_config import Own
from hatester.util.errors import MeasurementError
from provision.guest.plan import Question, ServerAnswers
from provision.guest.protocol import Answer


@dataclass(frozen=True)
class Surveyed:
    """A configuration, and what a build does with it in service and with the one loaded then."""

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

    def described(self) -> dict[str, Any]:
        """Return what `run.json` says of it."""
        binds = {**self.after.binds, **self.before.binds}
        return {
            "names": list(self.own.names) if self.own.is_changed else [self.own.names[0]],
            "build": self.build,
            "binds": binds,
            "unwatched": {
                **{label: "it takes no connection" for label, each in binds.items() if not each},
                **dict.fromkeys(self.own.datagrams, "it is bound by UDP"),
            },
            "groups": config_scenarios.groups(self.own, self.before, self.after),
            "failing": list(dict.fromkeys((*self.before.failing, *self.after.failing))),
            "said": list(self.said),
            "env": dict(self.own.env),
        }


def surveyed(guest: Guest, build: str, own: Own) -> Surveyed:
    """Ask a build in a guest. Raises MeasurementError when it does not accept a configuration."""
    try:
        before = survey(guest, build, _question(own, build, BEFORE))
        after = survey(guest, build, _question(own, build, AFTER)) if own.is_changed else before
    except MeasurementError as error:
        raise MeasurementError("; ".join([str(error), *_hints(own)])) from error
    return Surveyed(own, build, before, after)


def _hints(own: Own) -> list[str]:
    """Return what may be the reason why a configuration is not accepted."""
    texts = dict(zip(own.names, (own.before, own.after), strict=True))
    return [
        f"{name}, line {line}: {word} may be the reason, which only the OpenSSL of RHEL and its "
        "kin knows"
        for name, text in texts.items()
        for line, word in foreign_words(text)
    ]


def _question(own: Own, build: str, configuration: str) -> Question:
    """Return what is asked about a configuration."""
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
    """Return a plan in which what may help is measured only where an address is missing for a
    whole reload."""
    cells = [
        cell
        for cell in plan.cells
        if cell.setting == PLAIN or cell.scenario.startswith((f"{LOST}-", f"{ABSENT}-"))
    ]
    return replace(plan, cells=cells)
