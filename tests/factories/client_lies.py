"""Lies of guests about clients beside the prober, each with the reason that has to name it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

_REQUESTS = ("requests", "handshakes", "load")
_KINDS = (*_REQUESTS, "sessions")


def _set(record: list[Any], key: int, value: Any) -> None:
    record[key] = value


def _repeat_last(records: list[Any]) -> None:
    records += records[-1:] * 300


CLIENTS: tuple[tuple[str, Callable[[dict[str, Any], random.Random], Any], str], ...] = (
    (
        "clients of other addresses",
        lambda c, _: c["addresses"].reverse(),
        "has clients of other addresses than planned",
    ),
    (
        "a client of none",
        lambda c, choice: _set(choice.choice(c[choice.choice(_KINDS)]), 0, 99),
        "asked other addresses by .* than planned",
    ),
    (
        "clients that were not asked for",
        lambda c, _: c.update(sparse=c["load"][:1]),
        "asked other addresses by sparse than planned",
    ),
    (
        "no clients of a kind",
        lambda c, choice: c.update({choice.choice(_KINDS): []}, idle_ends=[]),
        "asked nobody by .*, though that was planned",
    ),
    (
        "clients out of order",
        lambda c, choice: c[choice.choice(_REQUESTS)].reverse(),
        "has requests by .* that are out of order",
    ),
    (
        "a client that is too busy",
        lambda c, choice: _repeat_last(c[choice.choice(_REQUESTS)]),
        "asked an address .* times by .* in",
    ),
    (
        "too many sessions",
        lambda c, _: _repeat_last(c["sessions"]),
        "held .* sessions with an address",
    ),
    (
        "a session before its beginning",
        lambda c, _: _set(c["sessions"][0], 2, 0.0),
        "has a session from 1 s to 0 s",
    ),
    (
        "a kept connection that was not made",
        lambda c, _: _repeat_last(c["idle_ends"]),
        "has more ends of kept connections than connections",
    ),
    (
        "a client that is too early",
        lambda c, choice: _set(c[choice.choice(_REQUESTS)][-1], 2, 0.0),
        "has a request due at .* s, sent at 0 s",
    ),
)
"""Changes of the records of clients, by the names of the lies."""
