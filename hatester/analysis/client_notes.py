"""The words for what reloads did to clients beside the prober.

The command line imports this module to start, so the model is imported for types alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hatester.util.text import counted, listed, spread, were

if TYPE_CHECKING:
    from hatester.analysis.client_effects import ClientEffect, Requests, SessionFates
    from hatester.analysis.model import CellResult, ReloadResult

LATE_SECONDS = 1.0
"""An answer to a sparse client that took longer is worth a word."""
_NOUNS = {
    "keep-alive": ("request", "on kept connections"),
    "tls": ("connection", "by TLS"),
    "load": ("connection", "of the load"),
    "sparse": ("sparse connection", ""),
}


def kinds(cell: CellResult) -> tuple[str, ...]:
    """Return the kinds of clients that have a note in a table, and why."""
    found = [kind for kind in _NOUNS if lost(cell.reloads, kind)]
    if any(each.cut for reload in cell.reloads for each in _sessions(reload)):
        found.append("cut")
    if latest(cell.reloads) > LATE_SECONDS:
        found.append("late")
    return tuple(found)


def note(kind: str, cells: Sequence[CellResult]) -> str:
    """Return the words for one of `kinds`, of cells that have it all."""
    if kind == "cut":
        of, after = _cut(_worst(cells))
        return f"{of} cut {after}"
    if kind == "late":
        return f"sparse answer {_range([latest(cell.reloads) for cell in cells], 1)} s"
    counts = [lost(cell.reloads, kind).total() for cell in cells]
    return f"{kind} {spread(str(min(counts)), str(max(counts)), '-')}"


def predicate(kind: str, cells: Sequence[CellResult]) -> tuple[str, str]:
    """Return what builds do, by one of `kinds`, as a verb for one build and for several."""
    if kind == "cut":
        what = " ".join(_cut(_worst(cells)))
        return f"cuts {what}", f"cut {what}"
    if kind == "late":
        what = f"a sparse connection wait {max(latest(cell.reloads) for cell in cells):.1f} s"
        return f"lets {what}", f"let {what}"
    noun, which = _NOUNS[kind]
    count = max(lost(cell.reloads, kind).total() for cell in cells)
    what = f"{counted(count, noun)} {which}".rstrip()
    return f"loses {what}", f"lose {what}"


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


def _sessions(reload: ReloadResult) -> list[SessionFates]:
    return [each for each in reload.clients if each.kind == "sessions"]


def _cut_share(reload: ReloadResult) -> tuple[float, int]:
    older = sum(each.older for each in _sessions(reload))
    cut = sum(each.cut for each in _sessions(reload))
    return (cut / older if older else 0.0), cut


def _worst(cells: Sequence[CellResult]) -> ReloadResult:
    """Return the reload that cut the greatest share of sessions."""
    return max((reload for cell in cells for reload in cell.reloads), key=_cut_share)


def _cut(reload: ReloadResult) -> tuple[str, str]:
    """Return how many sessions a reload cut, and when: `4 of 6 sessions`, `after 2.0 s`."""
    hit = [each for each in _sessions(reload) if each.cut]
    older = sum(each.older for each in _sessions(reload))
    times = [time for each in hit for time in (each.first, each.last) if time is not None]
    cut = sum(each.cut for each in hit)
    return f"{cut} of {counted(older, 'session')}", f"after {_range(times, 1)} s"


def fate(effect: ClientEffect) -> str:
    """Return what a reload did to the clients of one kind of an address, as a few words."""
    if effect.kind == "sessions":
        if not effect.cut or effect.first is None or effect.last is None:
            return f"all alive for {effect.watched:.1f} s"
        how = {"closed": effect.closed, "reset": effect.reset, "silent": effect.silent}
        ends = listed(f"{count} {name}" for name, count in how.items() if count)
        return f"{ends} after {_range([effect.first, effect.last], 1)} s"
    said = [f"{count} {how}" for how, count in effect.failures.items()]
    if effect.kind == "keep-alive":
        said += [f"{effect.closing} closed with the answer"] * bool(effect.closing)
        said += [f"{effect.idle_ends} closed while idle"] * bool(effect.idle_ends)
    elif effect.kind == "tls":
        said += [
            f"{each.name} from {each.first:+.2f} s to {each.last:+.2f} s"
            for each in effect.certificates
        ]
        said += [f"sessions {effect.resumption}"] * bool(effect.resumption)
    if effect.slowest is not None:
        said.append(f"the slowest answer took {effect.slowest:.3f} s")
    return ", ".join(said)


def describe(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    """Return the clauses of an explanation; `names` has short names of addresses, by label."""
    said = [clause for kind in _NOUNS if (clause := _lost(reloads, kind, names))]
    said += _held(reloads)
    said += _shown(reloads) + _datagrams(reloads)
    slowest = latest(reloads)
    return said + [f"a sparse connection waited {slowest:.2f} s"] * (slowest > LATE_SECONDS)


def _lost(reloads: Sequence[ReloadResult], kind: str, names: Mapping[str, str]) -> str:
    """Return what became of the requests of a kind of clients."""
    sent = requests(reloads, kind)
    made = sum(each.requests for each in sent)
    if not made:
        return ""
    found = lost(reloads, kind)
    noun, which = _NOUNS[kind]
    every = f"{counted(made, noun)} {which}".rstrip()
    if not found:
        ends = sum(each.idle_ends for each in sent if each.kind == "keep-alive")
        harmless = f", and {counted(ends, 'idle one')} {were(ends)} closed" if ends else ""
        return f"{every} {were(made)} answered{harmless}"
    hit = sum(bool(lost([reload], kind)) for reload in reloads)
    labels = dict.fromkeys(each.address for each in sent if each.failures)
    where = listed(names.get(label, label) for label in labels)
    return (
        f"{found.total()} of {every} {were(found.total())} lost "
        f"({listed(f'{count} {how}' for how, count in found.most_common())}) to {where}, "
        f"in {hit} of {counted(len(reloads), 'reload')}"
    )


def _held(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return what became of sessions."""
    held = [reload for reload in reloads if _sessions(reload)]
    if not held:
        return []
    hit = [reload for reload in held if any(each.cut for each in _sessions(reload))]
    if not hit:
        older = max(sum(each.older for each in _sessions(reload)) for reload in held)
        seconds = max(each.watched for reload in held for each in _sessions(reload))
        return [f"all {counted(older, 'session')} survived ({seconds:.1f} s after a reload)"]
    worst = max(hit, key=_cut_share)
    others = f", and so did {counted(len(hit) - 1, 'other reload')}" if len(hit) > 1 else ""
    return [f"the reload of step {worst.step} cut {' '.join(_cut(worst))}{others}"]


def _shown(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return since when a new certificate was shown, and whether sessions were resumed."""
    secured = [
        (reload, each) for reload in reloads for each in reload.clients if each.kind == "tls"
    ]
    renewed: dict[tuple[int, str], list[float]] = {}
    for reload, each in secured:
        new = [one for one in each.certificates if one.name != each.before]
        if each.before and new:
            renewed.setdefault((reload.step, new[-1].name), []).append(new[-1].first)
    said = [
        f"after the reload of step {step}, {name} was shown from {_range(since, 2)} s on"
        for (step, name), since in renewed.items()
    ]
    fates = {each.resumption for _, each in secured}
    for fate, words in (("lost", "were not resumed"), ("kept", "were resumed")):
        if fate in fates:
            said.append(f"TLS sessions from before a reload {words}")
    return said


def _datagrams(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return when listeners of UDP, which nobody asks, went over to new workers."""
    begun: dict[str, list[float]] = {}
    kept: dict[str, None] = {}
    for reload in reloads:
        for label in dict.fromkeys(each.address for each in reload.listeners):
            if label not in reload.addresses:
                held = [each for each in reload.listeners if each.address == label]
                new = [each.start for each in held if each.owner == "new worker"]
                if new:
                    begun.setdefault(label, []).append(min(new))
                else:
                    kept[label] = None
    said = [
        f"new workers held {label} from {_range(since, 2)} s after a reload on"
        for label, since in begun.items()
    ]
    return said + [f"after a reload, no new worker held {label}" for label in kept]


def _range(values: Sequence[float], digits: int) -> str:
    return spread(f"{min(values):.{digits}f}", f"{max(values):.{digits}f}", "-")
