"""Notes: what stands beside a verdict, in a table and as clauses of an explanation.

The command line imports this module to start, so the model is imported for types alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hatester.analysis import client_notes
from hatester.util.text import counted, listed, spread

if TYPE_CHECKING:
    from hatester.analysis.effects import OldWorker, ProcessUse, StaleAnswers
    from hatester.analysis.model import CellResult, ReloadResult

_FIXED = {
    "no start": ("fails to start at first", "fail to start at first"),
    "no effect": ("ignores a reload", "ignore a reload"),
    "not taken": ("does not take a request for a reload", "do not take a request for a reload"),
}
"""Notes without figures, with what builds do."""
_WHOLE, _HALF = 0.95, (0.45, 0.55)


def kinds(cell: CellResult) -> tuple[str, ...]:
    """Return which notes stand beside a cell's verdict, such as `stale`."""
    found = {
        "no start": bool(cell.failed_starts) and cell.ended != "start",
        "no effect": any(each.has_no_effect for each in cell.reloads),
        "not taken": any(each.refusal is not None for each in cell.reloads),
        "stale": any(each.stale for each in cell.reloads),
        "slow": any(each.slow for each in cell.reloads),
        "left": bool(workers_left(cell.reloads)),
    }
    said = (name for name, is_so in found.items() if is_so)
    return (*said, *client_notes.kinds(cell))


def notes(cells: Sequence[CellResult]) -> list[str]:
    """Return the words for cells that have the same kinds of notes."""
    said = []
    for kind in kinds(cells[0]):
        if kind == "stale":
            said.append(f"stale {share_words(map(stale_share, cells))}".rstrip())
        elif kind == "slow":
            most = [slowest(cell) for cell in cells]
            said.append(f"slow {spread(f'{min(most):.1f}', f'{max(most):.1f}', '-')} s")
        elif kind in _FIXED:
            said.append(kind)
        elif kind == "left":
            counts = [len(workers_left(cell.reloads)) for cell in cells]
            workers = "worker" if max(counts) == 1 else "workers"
            said.append(f"{spread(str(min(counts)), str(max(counts)), '-')} old {workers} left")
        else:
            said.append(client_notes.note(kind, cells))
    return said


def predicates(cells: Sequence[CellResult]) -> dict[str, tuple[str, str]]:
    """Return what builds do, by the kind of note, as a verb for one build and for several."""
    found = {}
    for kind in dict.fromkeys(kind for cell in cells for kind in kinds(cell)):
        hit = [cell for cell in cells if kind in kinds(cell)]
        if kind == "stale":
            what = f"{_of(map(stale_share, hit))} answers to another configuration"
            found[kind] = (f"leaves {what}", f"leave {what}")
        elif kind in _FIXED:
            found[kind] = _FIXED[kind]
        elif kind == "slow":
            what = f"answers to {max(map(slowest, hit)):.1f} s"
            found[kind] = (f"slows {what}", f"slow {what}")
        elif kind == "left":
            count = max(len(workers_left(cell.reloads)) for cell in hit)
            what = counted(count, "old worker")
            found[kind] = (f"leaves {what}", f"leave {what}")
        else:
            found[kind] = client_notes.predicate(kind, hit)
    return found


def share_words(shares: Iterable[float]) -> str:
    """Return shares from 0 to 1 as words: `half`, `30%`, `20-30%`; nothing for the whole."""
    low, *_, high = sorted([*shares] * 2)
    if low >= _WHOLE:
        return ""
    if _HALF[0] <= low <= high <= _HALF[1]:
        return "half"
    return spread(f"{100 * low:.0f}", f"{100 * high:.0f}", "-") + "%"


def stale_share(cell: CellResult) -> float:
    """Return the greatest share of an address's answers that were stale."""
    return max(_share(each.stale) for each in cell.reloads)


def _share(stale: Mapping[str, StaleAnswers]) -> float:
    return max((each.share for each in stale.values()), default=0.0)


def slowest(cell: CellResult) -> float:
    """Return the seconds of the slowest answer in reloads that slowed answers."""
    return max((_most(each) for each in cell.reloads if each.slow), default=0.0)


def _most(reload: ReloadResult) -> float:
    parts = (reload.latency.during, reload.latency.after)
    return max((part.most for part in parts if part), default=0.0)


def workers_left(reloads: Sequence[ReloadResult]) -> list[OldWorker]:
    """Return the old workers that were left in the end."""
    return [each for each in reloads[-1].old_workers if each.is_left] if reloads else []


def describe(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    """Return the clauses of an explanation; `names` has short names of addresses, by label."""
    return [
        *_stale(reloads, names),
        *_slow(reloads, names),
        *_left(reloads),
        *client_notes.describe(reloads, names),
    ]


def _stale(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.stale]
    if not hit:
        return []
    worst = max(hit, key=lambda each: _share(each.stale))
    others = dict.fromkeys(name for each in worst.stale.values() for name in each.answers)
    share = _of(worst.stale[label].share for label in worst.stale)
    return [
        f"HAProxy reported success of the reload of step {worst.step}, and a second later "
        f"{listed(others)} went on to give {share} answers of {_names(worst.stale, names)}"
        + _others(hit)
    ]


def _slow(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.slow]
    if not hit:
        return []
    worst = max(hit, key=_most)
    before = worst.latency.before
    than = f", at most {before.most:.2f} s before" if before else ""
    return [
        f"the reload of step {worst.step} slowed answers of {_names(worst.slow, names)}, "
        f"to {_most(worst):.2f} s{than}{_others(hit)}"
    ]


def _left(reloads: Sequence[ReloadResult]) -> list[str]:
    left = workers_left(reloads)
    if not left:
        return []
    oldest = max(left, key=lambda each: each.age)
    use = f", {describe_use(oldest.use)}" if oldest.use else ""
    which = "which was" if len(left) == 1 else "the oldest"
    be = "was" if len(left) == 1 else "were"
    return [f"{counted(len(left), 'old worker')} {be} left, {which} {oldest.age:.1f} s old{use}"]


def describe_use(use: ProcessUse) -> str:
    """Return what a process used of the guest."""
    return (
        f"with {use.memory / 1e6:.0f} MB, {use.cpu_seconds:.2f} s of processor time and "
        f"{counted(use.files, 'open file')}"
    )


def _of(shares: Iterable[float]) -> str:
    words = share_words(shares)
    return f"{words} of the" if words else "all"


def _names(labels: Iterable[str], names: Mapping[str, str]) -> str:
    return listed(names.get(label, label) for label in labels)


def _others(hit: Sequence[ReloadResult]) -> str:
    return f", and so did {counted(len(hit) - 1, 'other reload')}" if len(hit) > 1 else ""
