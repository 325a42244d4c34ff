"""Explanations: why a cell's verdict is what it is, in one sentence built from its evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hatester.analysis.labels import short_names
from hatester.analysis.timeline import (
    Holding,
    Phase,
    Timeline,
    holdings,
    phases,
    stretches,
)
from hatester.util.text import counted, listed, printable, spread, were
from provision.guest.protocol import Ended, Reload

Entry = Mapping[str, Any]

SLOW_SECONDS = 0.5
"""An answer that took longer is worth a word."""
UNHARMED = ("ok", "unasked")
"""Verdicts on a reload that nobody has suffered from."""
_QUOTE = 120
_QUEUED = ("reset", "timeout")
"""How connections end that nobody has accepted."""
# Not more of a line than could be told, since the next pattern takes the square of its length.
_ALERT = re.compile(r"\[ALERT\]\s+(?:\d+/\d+\s+)?(?:\(\d+\)\s*:\s*)?(?P<text>.{0,4000})")
_CANNOT_BIND = re.compile(
    r"cannot bind socket\s*(?:\((?P<reason>[^)]*)\))?[^\[]*\[(?P<address>[^\]]+)\]"
)
_OWNERS = {
    "new worker": "the new worker",
    "master": "the master",
    "old worker": "the old worker",
    "stranger": "another process",
}
_COMPLAINTS = {
    "refused": "refused the connection",
    "reset": "reset the connection",
    "timeout": "did not answer in time",
    "unreachable": "could not be reached",
    "empty": "closed the connection without an answer",
    "wrong": "gave a wrong answer",
}
_LOSSES = {
    "refused": "{were} refused",
    "reset": "{were} reset",
    "timeout": "timed out",
    "unreachable": "found no way there",
    "empty": "{were} closed without an answer",
    "wrong": "got a wrong answer",
}


def complaint(failed: Mapping[str, str]) -> str:
    """What addresses did instead of answering, by their outcomes."""
    by_outcome: dict[str, list[str]] = {}
    for label, outcome in failed.items():
        by_outcome.setdefault(outcome, []).append(label)
    return ", ".join(
        f"{listed(labels)} {_COMPLAINTS[outcome]}" for outcome, labels in by_outcome.items()
    )


def explain(timeline: Timeline, reloads: Sequence[Entry], worst: Entry) -> str:
    """The sentence for a cell with these entries of `run.json`, of which `worst` is told.

    Single lost connections are those of all reloads.
    """
    names = short_names(timeline.addresses)
    if worst["verdict"] in ("ok", "unasked", "lossy"):
        told = [_tally(reloads, names) + _reservations(timeline, reloads)]
    else:
        told = _Story(timeline, worst, names).parts()
        others = sum(entry["verdict"] not in UNHARMED for entry in reloads) - 1
        if others:
            told.append(f"{counted(others, 'other reload')} {were(others)} hit too")
    told += _slowest(reloads) + _races(reloads)
    if timeline.ended:
        at = f"before step {timeline.ended.step}" if timeline.ended.step else "by the end"
        told.append(f"HAProxy had ended {at}")
    if any(not each.steady and not timeline.is_overtaken(each) for each in timeline.reloads):
        told.append("the addresses had not settled when the observation ended")
    return f"{'; '.join(told)} (seed {timeline.seed})"


def explain_start(timeline: Timeline, ended: Ended) -> str:
    """Return the sentence for a cell in which HAProxy did not start."""
    names = short_names(timeline.addresses)
    missing = listed([names.get(label, label) for label in ended.missing])
    cause = f" while {missing} {were(len(ended.missing))} missing" if missing else ""
    said = _said_alert([line for _, line in timeline.log]) or ended.reason
    return f"HAProxy did not start{cause}: it {said} (seed {timeline.seed})"


def _tally(reloads: Sequence[Entry], names: Mapping[str, str]) -> str:
    """How many connections were made and lost, in all reloads."""
    asked: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    for entry in reloads:
        for label, address in _expected(entry).items():
            asked[label] += address["probes"]
            for outcome, count in address["failures"].items():
                lost[label, outcome] += count
    if not asked.total():
        return "nothing was left to ask"
    if not lost:
        connections = f"all {counted(asked.total(), 'connection')}"
        return f"{connections} to {counted(len(asked), 'address')} were answered"
    hit = sum(entry["verdict"] not in UNHARMED for entry in reloads)
    kinds = [
        f"{count} to {names.get(label, label)} {_loss(outcome, count)}"
        for (label, outcome), count in lost.most_common()
    ]
    return (
        f"{lost.total()} of {counted(asked.total(), 'connection')} {were(lost.total())} lost "
        f"one at a time, in {hit} of {counted(len(reloads), 'reload')}: {listed(kinds)}"
    )


def _reservations(timeline: Timeline, reloads: Sequence[Entry]) -> str:
    """Where nothing much was lost: what HAProxy reported all the same."""
    steps: dict[tuple[str, str], list[int]] = {}
    for reload, entry in zip(timeline.reloads, reloads, strict=True):
        doubt = ", which was not true" if entry["true"] is False else ""
        if entry["reported"] == "failure":
            cause = _alert(timeline, reload)
            said = f"{cause} and reported" if cause else "reported"
            steps.setdefault((f"{said} that", f"failed{doubt}"), []).append(entry["step"])
        elif entry["reported"] is None and not timeline.is_overtaken(reload):
            steps.setdefault(("did not say what became of", ""), []).append(entry["step"])
        elif doubt:
            steps.setdefault(("reported that", f"succeeded{doubt}"), []).append(entry["step"])
    told = []
    for (said, became), numbers in steps.items():
        which = f"reload of step {numbers[0]}"
        if len(numbers) > 1:
            which = f"reloads of steps {listed(map(str, numbers))}"
        told.append(f"HAProxy {said} the {which} {became}".rstrip())
    return f", though {listed(told)}" if told else ""


def _races(reloads: Sequence[Entry]) -> list[str]:
    """How soon reloads came after the ones with which they raced."""
    gaps = [entry["gap"] for entry in reloads if entry["gap"] is not None]
    return [f"racing reloads came {_range(gaps, 3)} s after the ones before them"] if gaps else []


def _slowest(reloads: Sequence[Entry]) -> list[str]:
    slowest = max(
        (
            address["slowest"] or 0.0
            for entry in reloads
            for address in _expected(entry).values()
        ),
        default=0.0,
    )  # fmt: skip
    return [f"the slowest answer took {slowest:.2f} s"] if slowest > SLOW_SECONDS else []


class _Story:
    """The worst reload, in which addresses did not answer for a stretch of time."""

    def __init__(self, timeline: Timeline, entry: Entry, names: Mapping[str, str]) -> None:
        self.timeline = timeline
        self.entry = entry
        self.names = names
        self.reload = next(each for each in timeline.reloads if each.step == entry["step"])
        hit = _expected(entry)
        self.down = [label for label, each in hit.items() if each["verdict"] == "down"]
        self.out = [label for label, each in hit.items() if each["verdict"] == "outage"]
        self.lossy = [label for label, each in hit.items() if each["verdict"] == "lossy"]
        self.phases = {label: self._phases(label) for label in (*self.down, *self.out)}

    def parts(self) -> list[str]:
        first, *others = [*self._causes(self.down), *self._causes(self.out)]
        told = [f"{self._what()}: {first}", *others]
        if self.lossy:
            told.append(f"single connections to {self._named(self.lossy)} were lost as well")
        return [*told, *self._word()]

    def _what(self) -> str:
        """Which addresses did not answer, and for how long."""
        step = f"the reload of step {self.entry['step']}"
        lengths = [self.entry["addresses"][label]["outage_seconds"] for label in self.out]
        said = []
        if self.down and not self.entry["silent"]:
            start = min(self._longest(label)[0] for label in self.down)
            said.append(
                f"{self._named(self.down)} did not answer from {self._time(start)} to the end of "
                f"the observation at {self._time(self.reload.until)}"
            )
        if self.out:
            stretches = sum(len(self.entry["addresses"][label]["outages"]) for label in self.out)
            several = ", in several stretches" if stretches > len(self.out) else ""
            said.append(
                f"{self._named(self.out)} did not answer for {_range(lengths)} s "
                f"(from the last success before to the first after{several})"
            )
        told = f"after {step}, {listed(said)}"
        if not self.entry["silent"]:
            return told
        silent = f"HAProxy reported success{self._when()} after {step}, and {self._silence()}"
        return f"{silent}, and {listed(said)}" if said else silent

    def _silence(self) -> str:
        """What became of the addresses that are down once HAProxy had reported success."""
        start = min(self._longest(label)[0] for label in self.down)
        since = f"from {self._time(start)} on" if start > self._reported_at() else "from then on"
        names = self._named(self.down)
        return f"{since} " + (
            f"nobody listened on {names}" if self._is_abandoned() else f"{names} did not answer"
        )

    def _is_abandoned(self) -> bool:
        """Whether nobody listened on the addresses that are down since HAProxy's success."""
        return all(
            self.phases[label]
            and self.phases[label][-1].owners == {None}
            and self.phases[label][-1].start
            <= max(self._reported_at(), self._longest(label)[0]) + self.timeline.tolerance
            for label in self.down
        )

    def _reported_at(self) -> float:
        at = self.reload.reported_at
        return self.reload.at if at is None else at

    def _causes(self, labels: Sequence[str]) -> list[str]:
        """Who held the listeners meanwhile, for addresses of the same fate at once."""
        fates: dict[tuple[frozenset[str | None], ...], list[str]] = {}
        for label in labels:
            fate = tuple(phase.owners for phase in self.phases[label])
            fates.setdefault(fate, []).append(label)
        return [self._cause(group) for group in fates.values()]

    def _cause(self, labels: Sequence[str]) -> str:
        lost: Counter[str] = Counter()
        for label in labels:
            lost.update(self.entry["addresses"][label]["failures"])
        nature = [f"{count} {_loss(outcome, count)}" for outcome, count in lost.most_common()]
        first, _, rest = nature[0].partition(" ")
        losses = listed([f"{counted(int(first), 'connection')} {rest}", *nature[1:]])
        together = [
            _together(each) for each in zip(*(self.phases[label] for label in labels), strict=True)
        ]
        if not together:
            return f"who held {self._listeners(labels)} was not observed, and {losses}"
        told = []
        for number, phase in enumerate(together):
            text = self._phase(phase, labels, lost, is_first=number == 0)
            if phase.owners == {None}:
                text += self._around(phase, labels[0], number == 0, number == len(together) - 1)
            told.append(text)
        return f"{', then '.join(told)}, and {losses}"

    def _phase(
        self, phase: Phase, labels: Sequence[str], lost: Counter[str], is_first: bool
    ) -> str:
        time = f"from {self._time(phase.start)} to {self._time(phase.end)}"
        if phase.owners == {None}:
            is_said = self.entry["silent"] and labels == self.down and self._is_abandoned()
            if is_first and is_said and phase.end == self.reload.until:
                return f"nobody did {time}, the end of the observation"
            where = f"on {self._named(labels)} " if is_first else ""
            return f"nobody listened {where}{time}"
        what = self._listeners(labels) if is_first else "it" if len(labels) == 1 else "them"
        text = f"{self._owners(phase.owners)} held {what} {time}"
        is_queued = phase.queue or lost.most_common(1)[0][0] in _QUEUED
        if phase.owners & {"new worker", "master"} and is_queued:
            text += " and accepted nothing"
        elif phase.owners != {"stranger"}:
            text += " and yet did not answer"
        return text + (f", its queue grew to {phase.queue}" if phase.queue else "")

    def _around(self, phase: Phase, label: str, is_first: bool, is_last: bool) -> str:
        """Who listened before nobody did, and who after."""
        found = [each for each in self._holdings(label) if each.owner]
        before = [each for each in found if each.end <= phase.start] if is_first else []
        after = [each for each in found if each.start >= phase.end] if is_last else []
        ended = max((each.end for each in before), default=0.0)
        began = min((each.start for each in after), default=0.0)
        earlier = self._owners({each.owner for each in before if each.end == ended})
        later = self._owners({each.owner for each in after if each.start == began})
        if earlier and earlier == later:
            return f" ({earlier} did before and after)"
        told = [f"{earlier} did before"] * bool(earlier) + [f"{later} did after"] * bool(later)
        return f" ({listed(told)})" if told else ""

    def _word(self) -> list[str]:
        """What HAProxy wrote and reported of the reload, and whether that was true."""
        cause = _alert(self.timeline, self.reload)
        said = [cause] if cause else []
        is_false = self.entry["true"] is False
        if self.entry["reported"] is None:
            until = " before the next" if self.timeline.is_overtaken(self.reload) else ""
            said.append(f"did not say what became of the reload{until}")
        elif not self.entry["silent"]:
            doubt = ", which was not true" if is_false and not self.down else ""
            said.append(f"reported {self.entry['reported']}{self._when()}{doubt}")
        return [f"HAProxy {listed(said)}"] if said else []

    def _phases(self, label: str) -> list[Phase]:
        return phases(self.timeline, self._holdings(label), *self._longest(label))

    def _holdings(self, label: str) -> list[Holding]:
        return holdings(self.timeline, self.reload, label)

    def _longest(self, label: str) -> tuple[float, float]:
        """Start and end of what is told of an address: that it is down, or its longest stretch."""
        found = stretches(self.timeline, self.reload, label)
        worst = max(found, key=lambda each: (not each.is_over, each.end - each.start))
        return worst.start, worst.end

    def _time(self, at: float) -> str:
        return _signed(at - self.reload.at)

    def _when(self) -> str:
        at = self.reload.reported_at
        return "" if at is None else f" at {self._time(at)}"

    def _owners(self, owners: Iterable[str | None]) -> str:
        there = set(owners)
        has_master = any(process.kind == "master" for process in self.timeline.processes)
        text = listed([words for owner, words in _OWNERS.items() if owner in there])
        return text if has_master else text.replace("worker", "process")

    def _named(self, labels: Sequence[str]) -> str:
        return listed([self.names.get(label, label) for label in labels])

    def _listeners(self, labels: Sequence[str]) -> str:
        return f"the listener{'s' * (len(labels) > 1)} of {self._named(labels)}"


def _alert(timeline: Timeline, reload: Reload) -> str:
    """What HAProxy's log has for a cause, as what HAProxy did; nothing without an alert.

    The format of its lines is that of `print_message()` in HAProxy's src/errors.c.
    """
    return _said_alert([line for at, line in timeline.log if reload.at <= at < reload.until])


def _said_alert(lines: Iterable[str]) -> str:
    """Return what the first alert among lines of HAProxy's log says, as what HAProxy did."""
    alerts = [found["text"].strip() for line in lines if (found := _ALERT.search(line))]
    if not alerts:
        return ""
    if bind := _CANNOT_BIND.search(alerts[0]):
        reason = f" ({bind['reason']})" if bind["reason"] else ""
        return f"could not bind {bind['address']}{reason}"
    short = alerts[0] if len(alerts[0]) <= _QUOTE else f"{alerts[0][:_QUOTE].rstrip()}…"
    return f'said "{printable(short)}"'


def _together(several: Sequence[Phase]) -> Phase:
    """The same phase of several addresses as one."""
    return Phase(
        several[0].owners,
        min(each.start for each in several),
        max(each.end for each in several),
        max(each.queue for each in several),
    )


def _expected(entry: Entry) -> dict[str, Entry]:
    return {label: each for label, each in entry["addresses"].items() if each["expected"]}


def _loss(outcome: str, count: int) -> str:
    return _LOSSES[outcome].format(were=were(count))


def _range(values: Sequence[float], digits: int = 2) -> str:
    return spread(f"{min(values):.{digits}f}", f"{max(values):.{digits}f}")


def _signed(seconds: float) -> str:
    text = f"{seconds:+.2f} s"
    return text.replace("-0.00", "+0.00")
