"""Steps: the verbs of a scenario, and their form in scenario.yml.

A step with `after` happens so many seconds after the last start, stop, reload or wait, whatever
the result of that is. With `after: racing` it races with the last reload: the seed decides how long
after it, from a tenth of the time that a reload takes to twice that. A step without `after` waits
until the last start or reload has been observed to its end. At that end HAProxy has reported its
result, and the addresses answer steadily, or steadily do not. Only `wait` may wait for less: with
`retrying`, until HAProxy tries again to bind an address that it could not bind, or has reported;
with `reported`, until it has reported; with seconds, for so long.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pydantic

from hatester.matrix.binds import parse_bind
from hatester.matrix.declarations import Line
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
_WRITTEN_SECONDS = re.compile(r"[0-9.]+s")


def _without_unit(value: object) -> object:
    """Return seconds as a number, which may have been written as `14s`."""
    if isinstance(value, str) and _WRITTEN_SECONDS.fullmatch(value):
        return value[:-1]
    return value


Duration = Annotated[Seconds, pydantic.BeforeValidator(_without_unit)]
"""Seconds, such as `14s` or 14."""
UNTIL = ("retrying", "reported", "steady")
_DURATION = pydantic.TypeAdapter(Duration)


def _until(value: object) -> object:
    """Return the event that a step waits for, or the seconds."""
    try:
        return value if value in UNTIL else _DURATION.validate_python(value)
    except pydantic.ValidationError as error:
        raise ValueError(
            f"expected {', '.join(UNTIL)} or a time such as 14s, got {quoted(value)}"
        ) from error


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
    """HAProxy is started with a configuration: the name of a .cfg file beside scenario.yml.

    Where it does not start, the story ends there, unless it `may` fail.
    """

    verb = "start"
    short = "configuration"
    after: ClassVar[None] = None
    configuration: str
    may: Literal["fail"] | None = None


class Stop(_Verb):
    """HAProxy is stopped at once: its master, or else all its processes, get SIGTERM."""

    verb = "stop"
    after: After = None


class Restart(_Verb):
    """HAProxy is stopped, and started with a configuration."""

    verb = "restart"
    short = "configuration"
    configuration: str
    after: After = None


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
    """For the retries or the report of the last reload, or until all is steady as well.

    Or for some seconds, whatever happens.
    """

    verb = "wait"
    short = "until"
    after: ClassVar[None] = None
    until: Annotated[str | float, pydantic.PlainValidator(_until)]

    def __str__(self) -> str:
        return f"wait {self.until:g}s" if isinstance(self.until, float) else f"wait {self.until}"

    @property
    def is_early(self) -> bool:
        """True if the last start or reload need not have been observed to its end then."""
        return self.until != "steady"


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
    """A file that the scenario has is taken away: its path from the scenario's folder."""

    verb = "break"


class Mend(_Change):
    """A file that was taken away is put back."""

    verb = "mend"


class StartServer(_Change):
    """A server that was stopped is played again."""

    verb = "start"


class StopServer(_Change):
    """A server of the scenario is played no more: its port is closed, and its connections."""

    verb = "stop"


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f"{quoted(text)} is not an address such as 10.0.0.5") from error


Address = Annotated[str, pydantic.AfterValidator(_ip)]


class Drop(_Change):
    """From now on all packets from and to an address vanish."""

    verb = "drop"
    what: Address


class Pass(_Change):
    """The packets of an address that were dropped pass again."""

    verb = "pass"
    what: Address


class Second(_Verb):
    """A second HAProxy is started, with which reloads have nothing to do."""

    verb = "second"
    short = "configuration"
    configuration: str
    after: After = None


class Upgrade(_Verb):
    """The files of HAProxy are replaced by those of another build, as a package manager does.

    Without a build, it is the one of the flag --upgrade-to.
    """

    verb = "upgrade"
    short = "build"
    build: str = ""
    after: After = None

    def __str__(self) -> str:
        return f"upgrade {self.build}".rstrip()


class Ask(_Verb):
    """HAProxy is asked a command at its stats socket, or at its master's socket."""

    verb = "ask"
    short = "command"
    command: Line
    socket: Literal["stats", "master"] = "stats"
    after: After = None


class Run(_Verb):
    """A command of the shell is run in the guest, beside HAProxy's root."""

    verb = "run"
    short = "command"
    command: Line
    after: After = None


Change = Add | Remove | Occupy | Free | Break | Mend | StartServer | StopServer | Drop | Pass
Step = Start | Stop | Restart | Reload | Check | Wait | Change | Second | Upgrade | Ask | Run


class _Entry(Declaration):
    """An entry of the list of steps: one verb and what it applies to."""

    start: Start | None = None
    start_server: StartServer | None = pydantic.Field(default=None, alias="start SERVER")
    stop: Stop | None = None
    stop_server: StopServer | None = pydantic.Field(default=None, alias="stop SERVER")
    restart: Restart | None = None
    reload: Reload | None = None
    check: Check | None = None
    wait: Wait | None = None
    add: Add | None = None
    remove: Remove | None = None
    occupy: Occupy | None = None
    free: Free | None = None
    break_: Break | None = pydantic.Field(default=None, alias="break")
    mend: Mend | None = None
    drop: Drop | None = None
    pass_: Pass | None = pydantic.Field(default=None, alias="pass")
    second: Second | None = None
    upgrade: Upgrade | None = None
    ask: Ask | None = None
    run: Run | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_the_bare_verb(cls, content: object) -> object:
        return {content: ""} if isinstance(content, str) and content else content

    @pydantic.model_validator(mode="before")
    @classmethod
    def _know_servers(cls, content: object) -> object:
        """Distinguish a server, such as 10.0.0.5:8080, from HAProxy's configurations."""
        if not isinstance(content, dict) or len(content) != 1:
            return content
        [(verb, value)] = content.items()
        what = value.get("what") if isinstance(value, dict) else value
        is_server = isinstance(what, str) and (":" in what or what.startswith("/"))
        return {f"{verb} SERVER": value} if verb in ("start", "stop") and is_server else content

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
