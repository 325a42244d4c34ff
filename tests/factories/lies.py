"""Lies of guests, each with the reason that has to name it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hatester.guests import messages
from provision.guest.protocol import encode
from tests.factories.client_lies import CLIENTS
from tests.factories.guest_accounts import Sent
from tests.factories.simulated_guests import Action, Lie, honest, sent

Events = list[Sent]
Content = dict[str, Any]
Change = Callable[[Content, random.Random], Any]
_HOSTILE = (
    "NaN", "Infinity", "-1e999", "1e999", "9" * 400, "9" * 9000, "-1", "1e300", "true", "null",
    '""', '"\\ud800"', '"\\u001b[2J\\u0000"', "[]", "{}", "[" * 500, '{"a":' * 500, "0.5",
    '"' + "x" * 70_000 + '"', "1" + "0" * 40, '"../../../etc/passwd"', "[[],[]]", '{"event":"end"}',
)  # fmt: skip
_MARK = "\x01here\x01"


def _split(events: Events, choice: random.Random) -> tuple[Events, Sent, Events]:
    """Return an event, with those before and after it."""
    place = choice.randrange(len(events))
    return events[:place], events[place], events[place + 1 :]


def _contents(events: Events) -> list[Content]:
    return [json.loads(encode(event.event)) for event in events]


def _lines(contents: Iterable[Content]) -> Iterator[Action]:
    for content in contents:
        yield 1.0
        yield json.dumps(content).encode() + b"\n"


def _set(content: list[Any], key: int, value: Any) -> None:
    content[key] = value


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(content, list | dict):
        for key in range(len(content)) if isinstance(content, list) else list(content):
            yield content, key
            yield from _places(content[key])


def garbled(events: Events, choice: random.Random) -> Iterator[Action]:
    """Put something that nobody expects at any place of any event."""
    contents = _contents(events)
    content = choice.choice(contents)
    inside, key = choice.choice([*_places(content)])
    inside[key] = _MARK
    value = choice.choice(_HOSTILE)
    for each in contents:
        yield 1.0
        yield json.dumps(each).replace(json.dumps(_MARK), value).encode() + b"\n"


def reshaped(events: Events, choice: random.Random) -> Iterator[Action]:
    """Have fields go, come, or change places."""
    contents = _contents(events)
    inside, key = choice.choice([*_places(choice.choice(contents))])
    match choice.choice(["remove", "rename", "repeat", "wrap", "swap"]):
        case "remove":
            del inside[key]
        case "rename" if isinstance(inside, dict):
            inside["\x1b[31mx"] = inside.pop(key)
        case "repeat" if isinstance(inside, list):
            inside += [copy.deepcopy(inside[key])] * choice.choice([1, 5000])
        case "swap":
            other, name = choice.choice([*_places(choice.choice(contents))])
            inside[key], other[name] = copy.deepcopy(other[name]), copy.deepcopy(inside[key])
        case _:
            inside[key] = [inside[key]]
    yield from _lines(contents)


def disordered(events: Events, choice: random.Random) -> Iterator[Action]:
    """Send events out of their order, twice, or not at all."""
    shuffled = [*events]
    match choice.choice(["shuffle", "repeat", "drop"]):
        case "shuffle":
            while [each.event for each in shuffled] == [each.event for each in events]:
                choice.shuffle(shuffled)
        case "repeat":
            # Nobody reads on after the last.
            place = choice.randrange(len(events) - 1)
            shuffled.insert(place, shuffled[place])
        case "drop":
            del shuffled[choice.randrange(len(events))]
    return honest(shuffled)


def scribbled(events: Events, choice: random.Random) -> Iterator[Action]:
    """Send a line that is not JSON, or a line that is broken."""
    before, event, after = _split(events, choice)
    yield from honest(before)
    line = sent(event.event)
    cut = choice.randrange(1, len(line) - 1)
    yield choice.choice(
        [
            b"\n", b"\xff\xfe\n", b"null\n", b"[]\n", b'{"event": "bad"}\n', b"{}\n",
            b'{"event": ["end"]}\n', b'{"event": "serving"}\n', line[:cut] + line,
            line[:cut] + b"\n" + line[cut:],
            line[:-1] + b"x\n", b"\0" * 1000 + b"\n", b"Kernel panic - not syncing\n",
        ]
    )  # fmt: skip
    yield from honest([event, *after])


def stalling(events: Events, choice: random.Random) -> Iterator[Action]:
    """Fall silent between two lines, or within one."""
    before, event, _ = _split(events, choice)
    yield from honest(before)
    line = sent(event.event)
    yield line[: choice.randrange(len(line) - 1)] or 0.0
    yield None


def dripping(events: Events, choice: random.Random) -> Iterator[Action]:
    """Send a line byte by byte, each just before the silence would be noticed."""
    before, event, _ = _split(events, choice)
    yield from honest(before)
    for byte in sent(event.event)[:-1] * 100:
        yield 100.0
        yield bytes([byte])


def flooding(events: Events, choice: random.Random) -> Iterator[Action]:
    """Send signs of life, or a line without an end, as long as anybody reads."""
    before, _, _ = _split(events, choice)
    yield from honest(before)
    block = choice.choice([b'{"event": "alive"}\n' * 3000, b"x" * 60_000, b"[" * 60_000])
    while True:
        yield block


def talkative(events: Events, _: random.Random) -> Iterator[Action]:
    """Go on after the last event."""
    yield from honest(events[:-1])
    yield sent(events[-1].event) + b"x"


def living(events: Events, choice: random.Random) -> Iterator[Action]:
    """Give signs of life for ever, and nothing else."""
    before, _, _ = _split(events, choice)
    yield from honest(before)
    while True:
        yield 14.0
        yield b'{"event": "alive"}\n'


def vanishing(events: Events, choice: random.Random) -> Iterator[Action]:
    """End, or have the connection break, at any byte."""
    before, event, _ = _split(events, choice)
    yield from honest(before)
    line = sent(event.event)
    yield line[: choice.randrange(len(line) - 1)] or 0.0
    ends: list[Action] = [b"", ConnectionResetError(104, "reset"), EOFError(), OSError("gone")]
    yield choice.choice(ends)


def _in_evidence(change: Change) -> Lie:
    """Return a lie in the evidence."""

    def lie(events: Events, choice: random.Random) -> Iterator[Action]:
        contents = _contents(events)
        change(contents[-1]["evidence"], choice)
        return _lines(contents)

    return lie


def _in_clients(change: Change) -> Change:
    """Return a change of what clients saw."""
    return lambda evidence, choice: change(evidence["clients"], choice)


def _in_check(change: Change) -> Lie:
    """Return a lie in an event of which a host waits."""

    def lie(events: Events, choice: random.Random) -> Iterator[Action]:
        contents = _contents(events)
        change(choice.choice([each for each in contents if each.get("checks")]), choice)
        return _lines(contents)

    return lie


def _be_late(evidence: Content, choice: random.Random) -> None:
    """Have a time outside of the cell."""
    inside, name = choice.choice(
        [
            (choice.choice(evidence["listeners"]), "end"),
            (choice.choice(evidence["processes"]), "end"),
            (evidence["dormant"][0], "end"),
            (evidence["usage"][0], 0),
            (evidence["clients"]["sessions"][0], 2),
            (evidence["clients"]["requests"][-1], 3),
            (evidence["probes"][-1], 3),
            (evidence["reloads"][-1], "until"),
            (evidence["log"][-1], 0),
            (evidence["steps"][-1], "at"),
        ]
    )
    inside[name] = choice.choice([1e5, 1e6, 9e6])


_START = {"step": 1, "at": 1.0, "reason": "x", "is_start": True, "missing": []}
_FAILED_START = {"step": 99, "at": 1.0, "reason": "x", "missing": []}
_REPLY = {"step": 1, "at": 1.0, "text": "x", "exit_code": None, "error": None}
_CONNECTION = {"outcome": "ok", "answer": None, "errno": None, "seconds": 0.1, "at": 0.1}
_EVIDENCE: tuple[tuple[str, Change, str], ...] = (
    (
        "another address",
        lambda e, c: c.choice(e["listeners"]).update(address="10.0.0.1:80"),
        "10.0.0.1:80 in its listeners, which is not watched",
    ),
    ("other addresses", lambda e, _: e["addresses"].reverse(), "watched other addresses"),
    (
        "an address twice",
        lambda e, _: e["addresses"].append(e["addresses"][0]),
        "addresses: one comes twice",
    ),
    ("a probe of none", lambda e, c: _set(c.choice(e["probes"]), 0, 99), "that is not there"),
    ("another interval", lambda e, _: e.update(interval=0.001), "watched other addresses"),
    ("another step", lambda e, c: c.choice(e["steps"]).update(what="x"), "took step .* x"),
    ("a step less", lambda e, _: e["steps"].pop(), "other steps than before"),
    (
        "a reload of no reload",
        lambda e, c: c.choice(e["reloads"]).update(step=1),
        "a reload in step 1|out of order",
    ),
    (
        "a reload of none",
        lambda e, _: e["reloads"][-1].update(step=99),
        "reports a reload in step 99",
    ),
    (
        "a reload twice",
        lambda e, _: e["reloads"].append(e["reloads"][-1]),
        "steps are out of order",
    ),
    (
        "another configuration",
        lambda e, c: c.choice(e["reloads"]).update(config="x"),
        "reports another reload",
    ),
    (
        "an address more",
        lambda e, c: c.choice(e["reloads"])["present"].append("x"),
        "reports another reload",
    ),
    (
        "an early report",
        lambda e, c: c.choice(e["reloads"]).update(reported_at=0.0),
        "has a report at 0 s",
    ),
    (
        "a report of nothing",
        lambda e, c: c.choice(e["reloads"]).update(reported=None),
        "a time without a report",
    ),
    (
        "an end before the start",
        lambda e, c: c.choice(e["listeners"]).update(start=15.0, end=1.0),
        "before it starts",
    ),
    (
        "an answer before the question",
        lambda e, _: _set(e["probes"][-1], 3, 0.0),
        "has a probe that was due",
    ),
    ("a time outside", _be_late, "has a time of .* of which at most"),
    ("a log out of order", lambda e, _: e["log"].append([0.5, "x"]), "a log that is out of order"),
    (
        "the use of another process",
        lambda e, _: _set(e["usage"][0], 1, 99),
        "what process 99 used, which it has not seen",
    ),
    ("a sysctl", lambda e, _: e["lacking"].append("x"), "lacks a sysctl"),
    (
        "a start that failed",
        lambda e, _: e.update(ended={**_START, "step": 4}),
        "reports a start in step 4",
    ),
    (
        "a missing address",
        lambda e, _: e.update(ended={**_START, "missing": ["x"]}),
        "misses other addresses",
    ),
    (
        "a start that may not fail",
        lambda e, _: e.update(failed_starts=[{**_FAILED_START, "step": 1}]),
        "another failed start in step 1",
    ),
    (
        "a failed start of none",
        lambda e, _: e.update(failed_starts=[_FAILED_START]),
        "reports a start in step 99",
    ),
    ("an answer to nothing", lambda e, _: e.update(replies=[_REPLY]), "reports a ask in step 1"),
    (
        "a restart",
        lambda e, c: c.choice(e["reloads"]).update(verb="restart"),
        "reports another reload in step",
    ),
)
_CHECKS: tuple[tuple[str, Change, str], ...] = (
    (
        "a check of another",
        lambda e, _: e["checks"][0]["connections"].update(x=_CONNECTION),
        "x in the check of step .*, which is not watched",
    ),
    (
        "a check of fewer",
        lambda e, _: e["checks"][0]["connections"].popitem(),
        "did not ask all addresses",
    ),
    (
        "a check of no check",
        lambda e, _: e["checks"][0].update(step=1),
        "reports a check in step 1",
    ),
    (
        "a check twice",
        lambda e, _: e["checks"].append(e["checks"][0]),
        "took the check of step . twice",
    ),
    (
        "a check of another reload",
        lambda e, _: e["checks"][0].update(reload=77),
        "after the reload of step 77",
    ),
    (
        "a wrong step",
        lambda e, _: e.update(step=99),
        "is at step 99",
    ),
)

_DISORDER = "out of its turn|in place of|is at step|steps of|twice|ended after|silent|its end"
LIES: dict[str, tuple[Lie, str]] = {
    **{name: (_in_evidence(change), reason) for name, change, reason in _EVIDENCE},
    **{name: (_in_evidence(_in_clients(change)), reason) for name, change, reason in CLIENTS},
    **{name: (_in_check(change), reason) for name, change, reason in _CHECKS},
    "disordered": (
        disordered,
        _DISORDER,
    ),
    "scribbled": (scribbled, "sent "),
    "stalling": (stalling, f"silent for {messages.SILENCE_SECONDS:.0f} s after"),
    "dripping": (dripping, "did not come to its end within|sent a line of more"),
    "flooding": (flooding, "sent a line of more than|sent more than"),
    "living": (living, "did not come to its end within"),
    "talkative": (talkative, "sent more after its end"),
    "vanishing": (vanishing, "ended after|reset|gone|the connection ended"),
}
"""Lies that are always seen, and how the reason names them."""
VAGUE: dict[str, Lie] = {"garbled": garbled, "reshaped": reshaped}
"""Lies that may also be no lies, or such that nobody can see."""
