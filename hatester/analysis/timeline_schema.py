"""The form of a cell's `timeline.json`, as far as verdicts and drawings come of it.

It is what the guest's program writes (`provision/guest/sequence.py`). What has another form is
damaged: a verdict on it would be one on nothing that happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from hatester.util.validation import sentence
from provision.guest.connections import OUTCOMES

Seconds = Annotated[float, pydantic.Field(strict=True, ge=-1e9, le=1e9)]
Length = Annotated[Seconds, pydantic.Field(ge=0)]
Number = Annotated[int, pydantic.Field(strict=True, ge=0, le=2**63)]
Outcome = Annotated[str, pydantic.Field(pattern=f"^({'|'.join(OUTCOMES)})$")]
Truth = Annotated[bool, pydantic.Field(strict=True)]


class _Step(pydantic.BaseModel):
    step: Number
    verb: str
    what: str | None
    at: Seconds


_Probe = tuple[Number, Seconds, Seconds, Seconds, Outcome, str | None, str | None]
"""Which of the addresses was asked; when that was due, was sent, and ended; how it ended, with an
error's name; and the configuration that answered."""


class _Stretch(pydantic.BaseModel):
    start: Annotated[Seconds, pydantic.Field(alias="from")]
    end: Annotated[Seconds, pydantic.Field(alias="to")]

    @pydantic.model_validator(mode="after")
    def _begins_before_it_ends(self) -> _Stretch:
        if self.start > self.end:
            raise ValueError("it ends before it begins")
        return self


class _Listener(_Stretch):
    address: str
    pids: list[Number]
    queue: Number


class _Process(_Stretch):
    pid: Number
    kind: Literal["master", "worker", "stranger"]


class _Sampling(pydantic.BaseModel):
    interval: Length
    samples: Number
    cpu_seconds: Length
    seconds: Length


class _Probing(pydantic.BaseModel):
    cpu_seconds: Length
    seconds: Length
    processors: Number


class _Reload(pydantic.BaseModel):
    step: Number
    config: str
    present: list[str]
    in_the_end: Annotated[list[str], pydantic.Field(alias="finally")]
    gap: Length | None
    at: Seconds
    until: Seconds
    reported: Literal["success", "failure"] | None
    reported_at: Seconds | None
    steady: Truth
    exit_code: int | None
    answer: str | None
    processes: str | None
    counters: dict[str, int]

    @pydantic.model_validator(mode="after")
    def _begins_before_it_ends(self) -> _Reload:
        if self.at > self.until:
            raise ValueError("it ends before it begins")
        return self


class _Ended(pydantic.BaseModel):
    step: Number | None
    at: Seconds
    reason: str
    verb: str | None
    what: str | None
    present: list[str] | None


class _Check(pydantic.BaseModel):
    step: Number
    reload: Number | None
    at: Seconds
    outcomes: dict[str, Outcome]
    outside: dict[str, Outcome]


class _Timeline(pydantic.BaseModel):
    seed: Number
    clock: Literal["real", "virtual"]
    interval: Annotated[Seconds, pydantic.Field(gt=0)]
    addresses: list[str]
    configurations: dict[str, list[str]]
    steps: list[_Step]
    probes: list[_Probe]
    probing: _Probing
    listeners: list[_Listener]
    processes: list[_Process]
    sampling: _Sampling
    log: list[tuple[Seconds, str]]
    ended: _Ended | None
    reloads: list[_Reload]
    checks: list[_Check]

    @pydantic.model_validator(mode="after")
    def _asks_addresses_that_it_has(self) -> _Timeline:
        if len({*self.addresses}) < len(self.addresses):
            raise ValueError("an address comes twice")
        if any(index >= len(self.addresses) for index, *_ in self.probes):
            raise ValueError("an address was asked that is not there")
        if len({each.step for each in self.reloads}) < len(self.reloads):
            raise ValueError("a step comes twice")
        return self


def require_form(evidence: Mapping[str, Any]) -> None:
    """Raise ValueError, with the first thing that is wrong, for what no guest has written."""
    try:
        _Timeline.model_validate(evidence)
    except pydantic.ValidationError as error:
        raise ValueError(sentence(error).rstrip(".")) from error
