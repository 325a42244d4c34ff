"""Answers: which configurations answered, and whether they still should."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from hatester.analysis.reload_model import StaleAnswers
from hatester.analysis.timeline import Timeline
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload

GRACE_SECONDS = 1.0
"""The time after HAProxy's report of success in which other configurations may answer. Connections
that wait in the old worker's queue then are its to answer."""
_LEAST = 2
"""The least number of stale answers that count; a single one may have waited for long."""


def in_service(timeline: Timeline, reload: Reload) -> str | None:
    """Return the configuration that answered last before a reload, else the last one loaded."""
    answers = [
        answer
        for label in timeline.addresses
        if (answer := _last_known(timeline, timeline.sent(label, -math.inf, reload.at), reload.at))
    ]
    asked = [(at, name) for at, name in timeline.loads if at < reload.at]
    return max(answers or asked, key=lambda each: each[0], default=(0.0, None))[1]


def _last_known(
    timeline: Timeline, probes: Sequence[Probe], until: float
) -> tuple[float, str] | None:
    """Return when the last probe was sent that a configuration had answered by then, and which."""
    return next(
        (
            (probe.sent, probe.configuration)
            for probe in reversed(probes)
            if probe.is_ok and probe.ended <= until
            if probe.configuration and probe.configuration in timeline.configurations
        ),
        None,
    )


def last_answer(probes: Sequence[Probe]) -> str | None:
    """Return the configuration that answered last, if it said so."""
    return next((probe.configuration for probe in reversed(probes) if probe.is_ok), None)


def stale_answers(timeline: Timeline, reload: Reload) -> dict[str, StaleAnswers]:
    """Return the answers of other configurations than the loaded one, by address.

    They count from a second after HAProxy reported success, at addresses that the loaded
    configuration binds.
    """
    if reload.reported != "success" or reload.reported_at is None:
        return {}
    since = max(reload.at, reload.reported_at) + GRACE_SECONDS
    found = {}
    for label in timeline.configurations.get(reload.config, ()):
        probes = timeline.sent(label, since, reload.until)
        names = Counter(each.configuration for each in probes if each.is_ok and each.configuration)
        stale = {name: count for name, count in names.items() if name != reload.config}
        if sum(stale.values()) >= _LEAST:
            share = sum(stale.values()) / names.total()
            found[label] = StaleAnswers(share=share, answers=stale)
    return found
