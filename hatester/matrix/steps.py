"""Steps: the verbs of a scenario, and their form in scenario.yml.

A step with `after` happens so many seconds after the last start, reload or wait, whatever the
result of that is. With `after: racing` it races with the last reload: the seed decides how long
after it, from a tenth of the time that a reload takes to twice that. A step without `after` waits
until the last start or reload has been observed to its end. At that end HAProxy has reported its
result, and the addresses answer steadily, or steadily do not. Only `wait` may wait for less: with
`retrying`, until HAProxy tries again to bind an address that it could not bind, or has reported;
with `reported`, until it has reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pydantic

from hatester.matrix.binds import parse_bind
from hatester.util.text import quoted
from hatester.util.validation import Declaration

Seconds = Annotated[float, pydantic.Field(ge=0, le=600, allow_inf_nan=False)]
RACING = "racing"
_SECONDS = pydantic.TypeAdapter(Seconds | None)


def _after(value: object) -> object:
    """Return `racing`, or seconds; pydantic's own union would put its names into messages."""
    return value if value == RACING else _SECONDS.validate_python(value)


After = Annotated[float | Literal["racing"] | None, pydantic.PlainValidator(_after)]
"""Seconds, or a share of how long a reload takes, as the cell's seed has it
(`hatester/runner/guest_plan.py`)."""
Times = Annotated[int, pydantic.Field(ge=1, le=1000)]


def _socket(text: str) -> str:
    """Return an address and its port as in results: `fd00:42::43:80` for `[fd00:42::43]:80`."""
    try:
        bind = parse_bind(text)
        bind.require_address()
    except ValueError as error:
        raise ValueError(
            f"{quoted(text)} is not an address and port such as 192.168.42.43:80"
        ) from error
    return bind.label


class _Verb(Declaration):
    """A verb; `short` is the key whose value may stand alone, as in `start: with`."""

    verb: ClassVar[str]
    short: ClassVar[str | None] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_the_short_form(cls, content: object) -> object:
        return {cls.short: content} if cls.short and isinstance(content, str) else content

    def __str__(self) -> str:
        """Return the step as people say it: `reload with`."""
        return f"{self.verb} {getattr(self, self.short)}" if self.short else self.verb


class Start(_Verb):
    """HAProxy is started with a configuration: the name of a .cfg file beside scenario.yml."""

    verb = "start"
    short = "configuration"
    after: ClassVar[None] = None
    configuration: str


class Reload(_Verb):
    """HAProxy reloads a configuration.

    `times` is short for writing the step so often; in a Scenario it always is 1.
    """

    verb = "reload"
    short = "configuration"
    configuration: str
    after: After = None
    times: Times = 1


class Check(_Verb):
    """One connection to each address."""

    verb = "check"
    after: After = None


class Wait(_Verb):
    """For the retries or the report of the last reload, or until all is steady as well."""

    verb = "wait"
    short = "until"
    after: ClassVar[None] = None
    until: Literal["retrying", "reported", "steady"]


class _Change(_Verb):
    """Something in the guest changes, HAProxy itself apart."""

    short = "what"
    what: str
    after: After = None


class Add(_Change):
    """An address, with a prefix length or without (/32, /128), or the interface, by its name.

    The interface comes back with the addresses that it had when it was removed.
    """

    verb = "add"


class Remove(_Change):
    """An address, without a prefix length, or the interface, which takes its addresses along."""

    verb = "remove"


class Occupy(_Change):
    """Another process begins to listen at an address and port; `*` stands for any address."""

    verb = "occupy"
    what: Annotated[str, pydantic.AfterValidator(_socket)]


class Free(_Change):
    """The process that occupied an address and port ends."""

    verb = "free"
    what: Annotated[str, pydantic.AfterValidator(_socket)]


class Break(_Change):
    """A file of /etc/haproxy, which lies beside scenario.yml, is taken away."""

    verb = "break"


class Mend(_Change):
    """A file that was taken away is put back."""

    verb = "mend"


Step = Start | Reload | Check | Wait | Add | Remove | Occupy | Free | Break | Mend


class _Entry(Declaration):
    """An entry of the list of steps: one verb and what it applies to."""

    start: Start | None = None
    reload: Reload | None = None
    check: Check | None = None
    wait: Wait | None = None
    add: Add | None = None
    remove: Remove | None = None
    occupy: Occupy | None = None
    free: Free | None = None
    break_: Break | None = pydantic.Field(default=None, alias="break")
    mend: Mend | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_the_bare_verb(cls, content: object) -> object:
        return {content: ""} if isinstance(content, str) and content else content

    @pydantic.model_validator(mode="after")
    def _is_one_step(self) -> _Entry:
        if len(self.model_fields_set) != 1:
            verbs = (field.alias or name for name, field in type(self).model_fields.items())
            raise ValueError(f"a step is one verb ({', '.join(verbs)}) and what it applies to")
        return self

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the step as often as it happens."""
        [name] = self.model_fields_set
        step: Step = getattr(self, name)
        if isinstance(step, Reload):
            return (step.model_copy(update={"times": 1}),) * step.times
        return (step,)


def _by_number(entries: object) -> object:
    """Return the steps by the names that messages have for them."""
    if not isinstance(entries, list):
        raise ValueError(f"expected a list of steps, got {quoted(entries)}")
    return {f"step {number}": entry for number, entry in enumerate(entries, start=1)}


Entries = Annotated[Mapping[str, _Entry], pydantic.BeforeValidator(_by_number)]
"""The list of steps as it is written: `step 1` and so on, each with its `steps`."""
