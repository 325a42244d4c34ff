"""Notes: what stands beside a verdict, such as `slow`, `stale`, `no effect` and clients' losses.

They have words for a table, and predicates for findings. The command line imports this module to
start, so the model is imported for types alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

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
    return (*said, *_client_kinds(cell))


def _client_kinds(cell: CellResult) -> tuple[str, ...]:
    """Return the kinds of clients that have a note in a table, and why."""
    found = [kind for kind in CLIENTS if lost(cell.reloads, kind)]
    if any(each.cut for reload in cell.reloads for each in sessions(reload)):
        found.append("cut")
    if latest(cell.reloads) > LATE_SECONDS:
        found.append("late")
    return tuple(found)


def notes(cells: Sequence[CellResult]) -> list[str]:
    """Return the words for cells that have the same kinds of notes."""
    said = []
    for kind in kinds(cells[0]):
        if kind == "stale":
            said.append(f"stale {share_words(map(stale_share, cells))}".rstrip())
        elif kind == "slow":
            said.append(f"slow {spread(map(slowest, cells), 1)} s")
        elif kind in _FIXED:
            said.append(kind)
        elif kind == "left":
            counts = [len(workers_left(cell.reloads)) for cell in cells]
            workers = "worker" if max(counts) == 1 else "workers"
            said.append(f"{spread(counts)} old {workers} left")
        else:
            said.append(_client_note(kind, cells))
    return said


def _client_note(kind: str, cells: Sequence[CellResult]) -> str:
    """Return the same as `notes`, for one kind of clients' notes."""
    if kind == "cut":
        of, after = cut_words(_worst(cells))
        return f"{of} cut {after}"
    if kind == "late":
        return f"sparse answer {spread((latest(cell.reloads) for cell in cells), 1)} s"
    return f"{kind} {spread(lost(cell.reloads, kind).total() for cell in cells)}"


def predicates(cells: Sequence[CellResult]) -> dict[str, tuple[str, str]]:
    """Return what builds do, by the kind of note, as a verb for one build and for several."""
    found = {}
    for kind in dict.fromkeys(kind for cell in cells for kind in kinds(cell)):
        hit = [cell for cell in cells if kind in kinds(cell)]
        if kind == "stale":
            what = f"{share_of(map(stale_share, hit))} answers to another configuration"
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
            found[kind] = _client_predicate(kind, hit)
    return found


def _client_predicate(kind: str, cells: Sequence[CellResult]) -> tuple[str, str]:
    """Return the same as `predicates`, for one kind of clients' notes."""
    if kind == "cut":
        what = " ".join(cut_words(_worst(cells)))
        return f"cuts {what}", f"cut {what}"
    if kind == "late":
        what = f"a sparse connection wait {max(latest(cell.reloads) for cell in cells):.1f} s"
        return f"lets {what}", f"let {what}"
    noun, which = CLIENTS[kind]
    count = max(lost(cell.reloads, kind).total() for cell in cells)
    what = f"{counted(count, noun)} {which}".rstrip()
    return f"loses {what}", f"lose {what}"


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


def lost(reloads: Sequence[ReloadResult], kind: str | None = None) -> Counter[str]:
    """Return how many requests of clients (of one kind, or of all) were lost in which way."""
    found: Counter[str] = Counter()
    for each in requests(reloads, kind):
        found.update(each.failures)
    return found


def latest(reloads: Sequence[ReloadResult]) -> float:
    """Return the seconds of the slowest answer to a sparse client."""
    return max((each.slowest or 0.0 for each in requests(reloads, "sparse")), default=0.0)


def requests(reloads: Sequence[ReloadResult], kind: str | None = None) -> list[Requests]:
    """Return what became of the requests of clients that count (of one kind, or of all)."""
    return [
        each
        for reload in reloads
        for each in reload.clients
        if each.kind != "sessions" and kind in (None, each.kind) and reload.counts(each.address)
    ]


def sessions(reload: ReloadResult) -> list[SessionFates]:
    """Return what became of the sessions of each address in a reload."""
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
