"""The rule for outages: the stretches in which an address did not answer, wholly or in part.

Two rules find them, in an address's probes in the order in which these were sent:

- **Failures that come and go.** Failures with at most ANSWERS answers between them belong together.
  Where they come and go RUNS times, they are one stretch, which has the share of its probes that
  failed. That is more than a tenth.
- **Failures in a row.** Elsewhere, two or more are a stretch in which all probes failed. A single
  failure is not a stretch.

Whether connections fail by turns or by chance, the first rule finds them. Single failures that are
rare, or lie far apart, stay what they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hatester.analysis.timeline import Timeline
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload

RUNS = 5
"""The least number of runs of failures that come and go."""
ANSWERS = 9
"""The most answers between two failures that belong together."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of an address's probes of which a share failed: all, or as they came and went.

    It lasts from the last success before it to the first after it, or to the end of the reload's
    observation when it is not over. Where the address failed already when the reload was asked
    for, it begins with the reload.
    """

    start: float
    end: float
    is_over: bool
    share: float = 1.0


def find_stretches(timeline: Timeline, reload: Reload, label: str) -> list[Stretch]:
    """Return the stretches in which an address failed in a reload, in the order of time.

    In a reload that was overtaken by the next, one may end after `reload.until`.
    """
    earlier = timeline.sent(label, -math.inf, reload.at)[-1:]
    watched = timeline.sent(label, reload.at, timeline.observed_until(reload))
    inside = len(timeline.sent(label, reload.at, reload.until))
    partial = [each for each in _flickers(watched) if each[0] < inside]
    full = [
        run
        for run in _runs(watched[:inside])
        if run[1] > run[0] and not any(first <= run[0] <= last for first, last in partial)
    ]
    found = []
    for first, last in sorted([*partial, *full]):
        before = watched[first - 1 : first] if first else earlier
        start = before[0].sent if before and before[0].is_ok else reload.at
        failing, later = watched[first : last + 1], watched[last + 1 :]
        share = sum(not probe.is_ok for probe in failing) / len(failing)
        recovery = next((probe.sent for probe in later if probe.is_ok), None)
        # Where failures come and go, the next one may have been due after the end.
        is_unsure = share < 1.0 and not timeline.is_settled(reload) and len(later) <= ANSWERS
        if recovery is None or is_unsure:
            found.append(Stretch(start, reload.until, is_over=False, share=share))
        else:
            found.append(Stretch(start, recovery, is_over=True, share=share))
    return found


def _runs(probes: Sequence[Probe]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last place of each run of failures."""
    places = enumerate(probes)
    for is_ok, run in itertools.groupby(places, key=lambda each: each[1].is_ok):
        if not is_ok:
            found = [place for place, _ in run]
            yield found[0], found[-1]


def _flickers(probes: Sequence[Probe]) -> list[tuple[int, int]]:
    """Return the first and the last place of failures that come and go."""
    together: list[list[tuple[int, int]]] = []
    for run in _runs(probes):
        if together and run[0] - together[-1][-1][1] <= ANSWERS + 1:
            together[-1].append(run)
        else:
            together.append([run])
    return [(runs[0][0], runs[-1][1]) for runs in together if len(runs) >= RUNS]
