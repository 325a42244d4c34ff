"""Clauses of an explanation about notes beside a verdict: reloads, clients, and those who asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hatester.analysis import notes
from hatester.analysis.reload_model import ClientEffect, ProcessUse, ReloadResult
from hatester.util.text import counted, grouped, listed, printable, spread, were
from provision.guest.runtime_api import CLI_RESULT

_QUOTE = 120


def describe_notes(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    """Return the clauses of an explanation; `names` has short names of addresses, by label."""
    return [*_stale(reloads, names), *_slow(reloads, names), *_left(reloads)]


def _stale(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.stale]
    if not hit:
        return []
    worst = max(hit, key=lambda each: notes.stale_in(each.stale))
    others = dict.fromkeys(name for each in worst.stale.values() for name in each.answers)
    share = notes.share_of(worst.stale[label].share for label in worst.stale)
    return [
        f"HAProxy reported success of the reload of step {worst.step}, and a second later "
        f"{listed(others)} went on to give {share} answers of {_names(worst.stale, names)}"
        + mention_others(hit)
    ]


def _slow(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    hit = [each for each in reloads if each.slow]
    if not hit:
        return []
    worst = max(hit, key=notes.slowest_in)
    before = worst.latency.before
    than = f", at most {before.most:.2f} s before" if before else ""
    return [
        f"the reload of step {worst.step} slowed answers of {_names(worst.slow, names)}, "
        f"to {notes.slowest_in(worst):.2f} s{than}{mention_others(hit)}"
    ]


def _left(reloads: Sequence[ReloadResult]) -> list[str]:
    left = notes.workers_left(reloads)
    if not left:
        return []
    oldest = max(left, key=lambda each: each.age)
    use = f", {describe_use(oldest.use)}" if oldest.use else ""
    which = "which was" if len(left) == 1 else "the oldest"
    be = "was" if len(left) == 1 else "were"
    return [f"{counted(len(left), 'old worker')} {be} left, {which} {oldest.age:.1f} s old{use}"]


def describe_use(use: ProcessUse) -> str:
    """Return the memory, processor time and open files of a process in words."""
    return (
        f"with {use.memory / 1e6:.0f} MB, {use.cpu_seconds:.2f} s of processor time and "
        f"{counted(use.files, 'open file')}"
    )


def _names(labels: Iterable[str], names: Mapping[str, str]) -> str:
    return listed(names.get(label, label) for label in labels)


def mention_others(hit: Sequence[ReloadResult]) -> str:
    """Return that reloads beside the described one did the same; nothing where it is alone."""
    return f", and so did {counted(len(hit) - 1, 'other reload')}" if len(hit) > 1 else ""


def describe_askers(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return in which reloads those who asked were refused or misled, or had no effect."""
    steps = grouped((said, reload.step) for reload in reloads for said in _complaints(reload))
    return [f"{said} ({_steps(numbers)})" for said, numbers in steps.items()]


def _steps(numbers: Sequence[int]) -> str:
    return f"step{'s' * (len(numbers) > 1)} {listed(map(str, numbers))}"


def _complaints(reload: ReloadResult) -> list[str]:
    said = []
    if reload.has_no_effect:
        said.append(f"the {reload.verb} had no effect: no process of HAProxy's began")
    if reload.refusal is not None:
        reason = printable(reload.refusal[:_QUOTE])
        said.append(f'nobody took the request for the {reload.verb}: "{reason}"')
    elif reload.exit_code == 0 and reload.reported == "failure":
        said.append(
            f"the command that asked for the {reload.verb} exited with status 0 all the same"
        )
    elif reload.reported is None and reload.answer and reload.answer.strip():
        said.append(f'the master CLI answered "{printable(reload.answer.strip()[:_QUOTE])}"')
    if reload.logged:
        answer = CLI_RESULT.search(reload.answer or "")
        asker = f"the master CLI answered {answer[0]}" if answer else "the asker heard otherwise"
        said.append(f"{asker}, though HAProxy logged {reload.logged}")
    return said


def describe_clients(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> list[str]:
    """Return the clauses of an explanation; `names` has short names of addresses, by label."""
    said = [clause for kind in notes.CLIENTS if (clause := _lost(reloads, kind, names))]
    said += _held(reloads)
    said += _shown(reloads) + _datagrams(reloads)
    slowest = notes.latest(reloads)
    return said + [f"a sparse connection waited {slowest:.2f} s"] * (slowest > notes.LATE_SECONDS)


def _lost(reloads: Sequence[ReloadResult], kind: str, names: Mapping[str, str]) -> str:
    """Return the losses of a kind of clients, of all their requests."""
    sent = notes.requests(reloads, kind)
    made = sum(each.requests for each in sent)
    if not made:
        return ""
    found = notes.lost(reloads, kind)
    noun, which = notes.CLIENTS[kind]
    every = f"{counted(made, noun)} {which}".rstrip()
    if not found:
        ends = sum(each.idle_ends for each in sent if each.kind == "keep-alive")
        harmless = f", and {counted(ends, 'idle one')} {were(ends)} closed" if ends else ""
        return f"{every} {were(made)} answered{harmless}"
    hit = sum(bool(notes.lost([reload], kind)) for reload in reloads)
    labels = dict.fromkeys(each.address for each in sent if each.failures)
    where = listed(names.get(label, label) for label in labels)
    return (
        f"{found.total()} of {every} {were(found.total())} lost "
        f"({listed(f'{count} {how}' for how, count in found.most_common())}) to {where}, "
        f"in {hit} of {counted(len(reloads), 'reload')}"
    )


def _held(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return the number of sessions that were cut, or that all survived."""
    held = [reload for reload in reloads if notes.sessions(reload)]
    if not held:
        return []
    hit = [reload for reload in held if any(each.cut for each in notes.sessions(reload))]
    if not hit:
        older = max(sum(each.older for each in notes.sessions(reload)) for reload in held)
        seconds = max(each.watched for reload in held for each in notes.sessions(reload))
        return [f"all {counted(older, 'session')} survived ({seconds:.1f} s after a reload)"]
    worst = max(hit, key=notes.cut_share)
    cut = " ".join(notes.cut_words(worst))
    return [f"the reload of step {worst.step} cut {cut}{mention_others(hit)}"]


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
        f"after the reload of step {step}, {name} was shown from {spread(since, 2)} s on"
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
        for label, held in grouped((each.address, each) for each in reload.listeners).items():
            new = [each.start for each in held if each.owner == "new worker"]
            if label in reload.addresses:
                continue
            if new:
                begun.setdefault(label, []).append(min(new))
            else:
                kept[label] = None
    said = [
        f"new workers held {label} from {spread(since, 2)} s after a reload on"
        for label, since in begun.items()
    ]
    return said + [f"after a reload, no new worker held {label}" for label in kept]


def describe_effect(effect: ClientEffect) -> str:
    """Return the effect of a reload on the clients of one kind of an address, in a few words."""
    if effect.kind == "sessions":
        if not effect.cut or effect.first is None or effect.last is None:
            return f"all alive for {effect.watched:.1f} s"
        how = {"closed": effect.closed, "reset": effect.reset, "silent": effect.silent}
        ends = listed(f"{count} {name}" for name, count in how.items() if count)
        return f"{ends} after {spread([effect.first, effect.last], 1)} s"
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
