"""Notes: what stands beside a verdict, such as `slow`, `stale`, `no effect` and clients' losses.

They have words for a table, and predicates for findings. The command line imports this module to
start, so the model is imported for types alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hatester.util.text import counted, spread

if TYPE_CHECKING:
    from hatester.analysis.model import CellResult
    from hatester.analysis.reload_model import (
        OldWorker,
        ReloadResult,
        Requests,
        SessionFates,
        StaleAnswers,
    )

LATE_SECONDS = 1.0
"""An answer to a sparse client that took longer is worth a word."""
CLIENTS = {
    "keep-alive": ("request", "on kept connections"),
    "tls": ("connection", "by TLS"),
    "load": ("connection", "of the load"),
    "sparse": ("sparse connection", ""),
}
"""Nouns for the connections of clients, by their kind."""
_WHOLE, _HALF = 0.95, (0.45, 0.55)


class _Note(NamedTuple):
    """A kind of note: which cells have it, its words in a table, and what builds do.

    `words` and `does` are for cells that all have it; `verbs` for one build and for several.
    """

    is_there: Callable[[CellResult], bool]
    words: Callable[[Sequence[CellResult]], str]
    verbs: tuple[str, str]
    does: Callable[[Sequence[CellResult]], str]


def _note_of_losses(kind: str, noun: str, which: str) -> _Note:
    return _Note(
        lambda cell: bool(lost(cell.reloads, kind)),
        lambda cells: f"{kind} {spread(lost(cell.reloads, kind).total() for cell in cells)}",
        ("loses", "lose"),
        lambda cells: (
            f"{counted(max(lost(c.reloads, kind).total() for c in cells), noun)} {which}".rstrip()
        ),
    )


_NOTES = {
    "no start": _Note(
        lambda cell: bool(cell.failed_starts) and cell.ended != "start",
        lambda _: "no start",
        ("fails", "fail"),
        lambda _: "to start at first",
    ),
    "no effect": _Note(
        lambda cell: any(each.has_no_effect for each in cell.reloads),
        lambda _: "no effect",
        ("ignores", "ignore"),
        lambda _: "a reload",
    ),
    "not taken": _Note(
        lambda cell: any(each.refusal is not None for each in cell.reloads),
        lambda _: "not taken",
        ("does not take", "do not take"),
        lambda _: "a request for a reload",
    ),
    "stale": _Note(
        lambda cell: any(each.stale for each in cell.reloads),
        lambda cells: f"stale {share_words(map(stale_share, cells))}".rstrip(),
        ("leaves", "leave"),
        lambda cells: f"{share_of(map(stale_share, cells))} answers to another configuration",
    ),
    "slow": _Note(
        lambda cell: any(each.slow for each in cell.reloads),
        lambda cells: f"slow {spread(map(slowest, cells), 1)} s",
        ("slows", "slow"),
        lambda cells: f"answers to {max(map(slowest, cells)):.1f} s",
    ),
    "left": _Note(
        lambda cell: bool(workers_left(cell.reloads)),
        lambda cells: (
            f"{spread(map(_count_left, cells))} old "
            f"{'worker' if max(map(_count_left, cells)) == 1 else 'workers'} left"
        ),
        ("leaves", "leave"),
        lambda cells: counted(max(map(_count_left, cells)), "old worker"),
    ),
    **{kind: _note_of_losses(kind, *nouns) for kind, nouns in CLIENTS.items()},
    "cut": _Note(
        lambda cell: any(each.cut for reload in cell.reloads for each in sessions(reload)),
        lambda cells: " cut ".join(cut_words(_worst(cells))),
        ("cuts", "cut"),
        lambda cells: " ".join(cut_words(_worst(cells))),
    ),
    "late": _Note(
        lambda cell: latest(cell.reloads) > LATE_SECONDS,
        lambda cells: f"sparse answer {spread((latest(c.reloads) for c in cells), 1)} s",
        ("lets", "let"),
        lambda cells: f"a sparse connection wait {max(latest(c.reloads) for c in cells):.1f} s",
    ),
}


def kinds(cell: CellResult) -> tuple[str, ...]:
    """Return which notes stand beside a cell's verdict, such as `stale`."""
    return tuple(kind for kind, note in _NOTES.items() if note.is_there(cell))


def notes(cells: Sequence[CellResult]) -> list[str]:
    """Return the words for cells that have the same kinds of notes."""
    return [_NOTES[kind].words(cells) for kind in kinds(cells[0])]


def predicates(cells: Sequence[CellResult]) -> dict[str, tuple[str, str]]:
    """Return predicates about builds by the kind of note: for one build, and for several."""
    found = {}
    for kind in dict.fromkeys(kind for cell in cells for kind in kinds(cell)):
        note = _NOTES[kind]
        does = note.does([cell for cell in cells if note.is_there(cell)])
        one, several = note.verbs
        found[kind] = (f"{one} {does}", f"{several} {does}")
    return found


def share_words(shares: Iterable[float]) -> str:
    """Return shares from 0 to 1 as words: `half`, `30%`, `20-30%`; nothing for the whole."""
    low, *_, high = sorted([*shares] * 2)
    if low >= _WHOLE:
        return ""
    if _HALF[0] <= low <= high <= _HALF[1]:
        return "half"
    return spread((100 * low, 100 * high)) + "%"


def share_of(shares: Iterable[float]) -> str:
    """Return shares from 0 to 1 as the words before a noun: `half of the`, `all`."""
    words = share_words(shares)
    return f"{words} of the" if words else "all"


def stale_share(cell: CellResult) -> float:
    """Return the greatest share of an address's answers that were stale."""
    return max(stale_in(each.stale) for each in cell.reloads)


def stale_in(stale: Mapping[str, StaleAnswers]) -> float:
    """Return the greatest share of an address's answers in a reload that were stale."""
    return max((each.share for each in stale.values()), default=0.0)


def slowest(cell: CellResult) -> float:
    """Return the seconds of the slowest answer in reloads that slowed answers."""
    return max((slowest_in(each) for each in cell.reloads if each.slow), default=0.0)


def slowest_in(reload: ReloadResult) -> float:
    """Return the seconds of the slowest answer since a reload was asked for."""
    parts = (reload.latency.during, reload.latency.after)
    return max((part.most for part in parts if part), default=0.0)


def workers_left(reloads: Sequence[ReloadResult]) -> list[OldWorker]:
    """Return the old workers that were left in the end."""
    return [each for each in reloads[-1].old_workers if each.is_left] if reloads else []


def _count_left(cell: CellResult) -> int:
    return len(workers_left(cell.reloads))


def lost(reloads: Sequence[ReloadResult], kind: str | None = None) -> Counter[str]:
    """Return how many requests of clients (of one kind, or of all) were lost in which way."""
    return sum((Counter(each.failures) for each in requests(reloads, kind)), Counter())


def latest(reloads: Sequence[ReloadResult]) -> float:
    """Return the seconds of the slowest answer to a sparse client."""
    return max((each.slowest or 0.0 for each in requests(reloads, "sparse")), default=0.0)


def requests(reloads: Sequence[ReloadResult], kind: str | None = None) -> list[Requests]:
    """Return the results of clients' requests that count (of one kind, or of all)."""
    return [
        each
        for reload in reloads
        for each in reload.clients
        if each.kind != "sessions" and kind in (None, each.kind) and reload.counts(each.address)
    ]


def sessions(reload: ReloadResult) -> list[SessionFates]:
    """Return the fates of the sessions of each address in a reload."""
    return [each for each in reload.clients if each.kind == "sessions"]


def cut_share(reload: ReloadResult) -> tuple[float, int]:
    """Return the share of sessions that a reload cut, and their number."""
    older = sum(each.older for each in sessions(reload))
    cut = sum(each.cut for each in sessions(reload))
    return (cut / older if older else 0.0), cut


def _worst(cells: Sequence[CellResult]) -> ReloadResult:
    """Return the reload that cut the greatest share of sessions."""
    return max((reload for cell in cells for reload in cell.reloads), key=cut_share)


def cut_words(reload: ReloadResult) -> tuple[str, str]:
    """Return how many sessions a reload cut, and when: `4 of 6 sessions`, `after 2.0 s`."""
    hit = [each for each in sessions(reload) if each.cut]
    older = sum(each.older for each in sessions(reload))
    times = [time for each in hit for time in (each.first, each.last) if time is not None]
    cut = sum(each.cut for each in hit)
    return f"{cut} of {counted(older, 'session')}", f"after {spread(times, 1)} s"
