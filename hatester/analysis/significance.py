"""Significance: whether a cell differs between two runs by more than noise.

Outcomes (ok, lossy, outage, down, silent) are compared first. A cell got worse when the later run
has an outcome that is worse than all of the earlier run's. It got better when all outcomes of the
later run are milder than all of the earlier run's. Where the outcomes are the same, the numbers
behind them decide:

- **Lost connections**, where neither run has worse than `lossy`. The test is an exact binomial one:
  if nothing had changed, the lost connections would be shared between the runs by chance, in
  proportion to their probes. A change is a share that chance brings less than once in a hundred
  times. With equally many probes, 7 lost connections against none are a change, and 10 against 1;
  6 against none are not.
- **Seconds**, where both have an `outage` at worst. A repetition counts by its longest outage. The
  shortest of these in one run must exceed the longest in the other by more than the uncertainty of
  both. The ends of an outage are known to one gap between probes: the interval, and the time by
  which one probe of a hundred was late or more. That is two gaps for each run. Few repetitions do
  not show how much they vary: 4 against 4 are ordered by chance more than once in a hundred times,
  4 against 5 are not. Where there are so few, a quarter of the shorter length must be exceeded as
  well: emulated guests on a busy host vary by as much.

- **Notes** beside the verdict (slow or stale answers, old workers that are left), where all else is
  the same. A cell got worse when the later run has a note that none of the earlier run's
  repetitions has, and better when the earlier run has one that none of the later run's has.

An outage that is not longer than that uncertainty shows only that a few connections were lost, and
is compared as `lossy`.

The effect of a busy host is not distinguished from that of HAProxy or the kernel: compare runs that
were made on equally busy hosts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hatester.analysis.model import CellResult
from hatester.analysis.notes import kinds
from hatester.analysis.outcomes import OUTCOMES, outcome

RARELY = 100
"""A difference that chance brings about more often than once in so many times is noise."""
FEW_VARY = 0.25
"""The share of its length by which an outage may vary, where there are few repetitions."""


@dataclass(frozen=True)
class _Shown:
    """One repetition's figures of the addresses that should have answered; `longest` in seconds."""

    outcome: str
    longest: float
    lost: int
    probes: int

    @property
    def rank(self) -> int:
        return OUTCOMES.index(self.outcome)


def trend(before: Sequence[CellResult], after: Sequence[CellResult]) -> int:
    """Return 1 when a cell got worse, -1 when better, 0 when it is the same within the noise.

    Both are its repetitions in a run, those that were measured; at least one each.
    """
    return _trend_of_losses(before, after) or _has_more(before, after) - _has_more(after, before)


def _has_more(few: Sequence[CellResult], many: Sequence[CellResult]) -> bool:
    """Return whether `many` has a note beside a verdict that `few` does not have."""
    known, found = ({kind for cell in each for kind in kinds(cell)} for each in (few, many))
    return bool(found - known)


def _trend_of_losses(before: Sequence[CellResult], after: Sequence[CellResult]) -> int:
    uncertainty = _uncertainty(before) + _uncertainty(after)
    earlier = [_shown(cell, uncertainty) for cell in before]
    later = [_shown(cell, uncertainty) for cell in after]
    was, now = (max(each, key=lambda shown: shown.rank) for each in (earlier, later))
    if {was.outcome, now.outcome} <= {"ok", "lossy"}:
        return _loses_more(earlier, later) - _loses_more(later, earlier)
    if was.outcome == now.outcome == "outage":
        return _lasts_longer(earlier, later, uncertainty) - _lasts_longer(
            later, earlier, uncertainty
        )
    mildest = min(shown.rank for shown in earlier)
    return (now.rank > was.rank) - (now.rank < mildest)


def _uncertainty(cells: Sequence[CellResult]) -> float:
    """Return the seconds by which an outage's length may be wrong: a gap at either end."""
    gaps = [each.quality.interval + each.quality.lateness_p99 for each in cells if each.quality]
    return 2 * float(max(gaps))


def _shown(cell: CellResult, uncertainty: float) -> _Shown:
    expected = [address for reload in cell.reloads for address in reload.expected.values()]
    longest = max((address.outage_seconds for address in expected), default=0.0)
    is_brief = outcome(cell) == "outage" and longest <= uncertainty
    return _Shown(
        outcome="lossy" if is_brief else outcome(cell),
        longest=longest,
        lost=sum(sum(address.failures.values()) for address in expected),
        probes=sum(address.probes for address in expected),
    )


def _loses_more(few: Sequence[_Shown], many: Sequence[_Shown]) -> bool:
    """Return whether `many` has more of the lost connections than chance would give it."""
    lost, others = (sum(shown.lost for shown in each) for each in (many, few))
    ours, theirs = (sum(shown.probes for shown in each) for each in (many, few))
    total = lost + others
    # In whole numbers, which neither round nor overflow.
    ways = sum(
        math.comb(total, count) * ours**count * theirs ** (total - count)
        for count in range(lost, total + 1)
    )
    return bool(ways * RARELY < (ours + theirs) ** total)


def _lasts_longer(short: Sequence[_Shown], long: Sequence[_Shown], uncertainty: float) -> bool:
    """Return whether the outages of `long` all last longer than those of `short`."""
    shorter, longer = (
        [shown.longest for shown in each if shown.outcome == "outage"] for each in (short, long)
    )
    orders = math.comb(len(shorter) + len(longer), len(longer))
    variation = 0.0 if orders > RARELY else FEW_VARY * max(shorter)
    return min(longer) - max(shorter) > uncertainty + variation
