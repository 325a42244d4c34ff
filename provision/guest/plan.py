"""The contract between the host and the program in its guests: what the host sends.

That is a Greeting, then a Plan for each cell, or a survey's Question: one line of JSON each. The
guest trusts its host. `protocol.py` has what the guest answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REPORT_SECONDS = 30.0
"""HAProxy has to report within this time, unless the scenario gives it another; a failed reload
takes two seconds on a fast host."""
RACING = "racing"
"""`after` of a step that comes a share of a reload's length after the last reload was asked for."""


@dataclass(frozen=True)
class Greeting:
    """The first line from a host: its time of day, and what is to stir the random numbers."""

    time: float
    """Seconds since 1970."""
    secret: str
    """Hexadecimal; empty where all guests are to have the same random numbers."""


@dataclass(frozen=True)
class RootContent:
    """The content of HAProxy's root beside the tree of its build.

    `files` and `made` are texts by absolute path; those that are `made` give way to what the tree
    has. `env` is HAProxy's environment.
    """

    files: Mapping[str, str]
    made: Mapping[str, str]
    folders: Sequence[str]
    users: Sequence[str]
    groups: Sequence[str]
    hosts: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class ServerAnswers:
    """The answers of the servers that are played.

    By port, they have the protocol of checks, or the texts that are sent at first and after each
    message. For HTTP they have the texts that checks expect in bodies, and statuses by path; for
    TLS a certificate with its key. Bytes are written as characters of Latin-1.
    """

    protocols: Mapping[str, str]
    scripts: Mapping[str, Sequence[str]]
    expected: Sequence[str]
    statuses: Mapping[str, int]
    certificate: str


@dataclass(frozen=True)
class Destination:
    """An address that is watched, and how it is asked (one of `answers.ANSWERS`)."""

    label: str
    address: str
    port: int
    """0 for a UNIX socket."""
    interface: str | None
    """The one to come through, where that matters."""
    answer: str


@dataclass(frozen=True)
class PlannedClients:
    """Clients of one kind that ask addresses beside the prober.

    A destination has so many `connections`, on each of which something is sent every `interval`
    seconds. A load makes one to every destination each interval.
    """

    kind: str
    """keep-alive, sessions, tls, load or sparse."""
    destinations: Sequence[Destination]
    interval: float
    connections: int = 1
    every: float | None = None
    """Seconds after which as many sessions are opened in addition, again and again."""
    latency: float = 0.0
    """Seconds after which a client that keeps its connection notices that it was closed."""


@dataclass(frozen=True)
class PlannedStep:
    """A step that is to be taken.

    A start, a restart and a reload have all from `text` to `missing`.
    """

    verb: str
    after: float | str | None
    """Seconds since the last start, reload or wait, RACING, or None for when all is observed."""
    delay: float = 0.0
    """Seconds after the moment of the grid at which it could be taken."""
    order: Sequence[int] = ()
    """In which a check asks the destinations, by their indices."""
    what: str | None = None
    text: str = ""
    """Of the configuration that `what` names."""
    places: Sequence[tuple[str, int]] = ()
    """The addresses and ports at which HAProxy listens then."""
    present: Sequence[str] = ()
    """The labels that are on their interfaces from then until the next reload."""
    in_the_end: Sequence[str] = ()
    """The labels that are there before the next reload."""
    missing: Sequence[str] = ()
    """The addresses without which HAProxy may not start."""
    seconds: float = 0.0
    """The time that a wait lasts; 0 for one that waits for something."""
    may_fail: bool = False
    """True if the story goes on where HAProxy does not start."""
    socket: str = ""
    """The path of the socket that is asked, in HAProxy's root; empty for the master's."""
    tree: str = ""
    """The tree of the build to which HAProxy is upgraded."""


@dataclass(frozen=True)
class Plan:
    """A cell: all that a guest needs to run it, with nothing left to look up."""

    seed: int
    race: float
    """The moment of RACING steps, as a share of a reload's length, from 0 to 1."""
    rest: float
    """Seconds of rest before it; the cell begins at a multiple of them."""
    tree: str
    method: str
    arguments: Sequence[str]
    takeover: Sequence[str]
    """Further arguments of a process that ends an old one (`soft-finish`)."""
    report_seconds: float
    """For which HAProxy's report of a reload is awaited."""
    sysctls: Mapping[str, str]
    lenient: bool
    """True if a sysctl may be missing."""
    nofile: int | None
    unit: Mapping[str, str]
    """Settings of [Service] that HAProxy's unit has in addition."""
    interface: str
    """The one that steps can name."""
    interfaces: Mapping[str, Sequence[str]]
    root: RootContent
    servers: Sequence[str]
    answers: ServerAnswers
    site: str
    destinations: Sequence[Destination]
    steps: Sequence[PlannedStep]
    probe_interval: float
    connection_seconds: float
    seconds: int
    """The guest's time limit; the time that its host takes meanwhile is not counted."""
    hold: bool
    """True if the guest is to be left as it is after the steps, unwatched."""
    clients: Sequence[PlannedClients] = ()
    datagrams: Sequence[Destination] = ()
    """The addresses that are bound by UDP, whose holders are watched."""

    @classmethod
    def of(cls, line: str) -> Plan:
        """Return the plan that a host has sent."""
        plan = json.loads(line)
        return cls(
            **{
                **plan,
                "root": RootContent(**plan["root"]),
                "answers": ServerAnswers(**plan["answers"]),
                "destinations": [Destination(**each) for each in plan["destinations"]],
                "steps": [PlannedStep(**each) for each in plan["steps"]],
                "datagrams": [Destination(**each) for each in plan["datagrams"]],
                "clients": [_planned_clients(each) for each in plan["clients"]],
            }
        )


def _planned_clients(content: Mapping[str, Any]) -> PlannedClients:
    destinations = [Destination(**each) for each in content["destinations"]]
    return PlannedClients(**{**content, "destinations": destinations})


@dataclass(frozen=True)
class Question:
    """A configuration that is to be surveyed in the tree of a build.

    `interfaces` names those that must be there, `through` the one by which each label is reached.
    `ranges` are ports that are bound together: an address, with the first and the last port.
    `servers` and `answers` are as far as the text says; `shifted` are addresses of servers whose
    ports are those of binds and so many more.
    """

    tree: str
    text: str
    root: RootContent
    interfaces: Mapping[str, Sequence[str]]
    through: Mapping[str, str]
    ranges: Sequence[tuple[str, int, int]]
    servers: Sequence[str]
    shifted: Sequence[tuple[str, int]]
    answers: ServerAnswers
    site: str
    peer: str | None

    @classmethod
    def of(cls, line: str) -> Question:
        """Return the question that a host has sent."""
        question = json.loads(line)
        root, answers = RootContent(**question["root"]), ServerAnswers(**question["answers"])
        return cls(**{**question, "root": root, "answers": answers})
