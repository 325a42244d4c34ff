"""Explanations: why a cell's verdict is what it is, in one sentence from its causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from hatester.analysis.model import (
    AddressResult,
    AlertCause,
    Cause,
    EndCause,
    ListenerCause,
    ObstacleCause,
    Quality,
    ReloadResult,
    UnansweredCause,
    UnaskedCause,
)
from hatester.analysis.outcomes import short_names, worst_reload
from hatester.util.text import counted, listed, printable, spread, were

SLOW_SECONDS = 0.5
"""An answer that took longer is worth a word."""
UNHARMED = ("ok", "unasked")
"""Verdicts on a reload in which no connection was lost."""
_QUOTE = 120
_QUEUED = ("reset", "timeout")
"""The ends of connections that no process has accepted."""
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


def explain_error(cause: Cause, quality: Quality) -> str:
    """Return why a cell is an error, by the cause that kept it from being judged."""
    match cause:
        case ObstacleCause(what="starved"):
            return (
                "the host kept the guest from running: one probe of a hundred was sent "
                f"{quality.lateness_p99:.2f} s late or more, though the prober comes before all "
                "else there"
            )
        case ObstacleCause(what="heavy"):
            return (
                f"watching took {quality.burden:.0%} of the guest's processors and may itself have "
                f"kept HAProxy from answering: probe less often than every {quality.interval:g} s"
            )
        case UnansweredCause(outcomes=outcomes):
            return f"before any reload, {_complaint(outcomes)}"
        case UnaskedCause(step=step, address=address):
            return f"in the reload of step {step}, {address} was never asked"
    return "no reload was observed"


def _complaint(failed: Mapping[str, str]) -> str:
    by_outcome: dict[str, list[str]] = {}
    for label, outcome in failed.items():
        by_outcome.setdefault(outcome, []).append(label)
    return ", ".join(
        f"{listed(labels)} {_COMPLAINTS[outcome]}" for outcome, labels in by_outcome.items()
    )


def explain_start(causes: Sequence[Cause], seed: int) -> str:
    """Return the sentence for a cell in which HAProxy did not start."""
    end = next(each for each in causes if isinstance(each, EndCause))
    names = listed(end.missing)
    missing = f" while {names} {were(len(end.missing))} missing" if names else ""
    said = _alert(causes, None) or end.reason
    return f"HAProxy did not start{missing}: it {said} (seed {seed})"


def explain(reloads: Sequence[ReloadResult], causes: Sequence[Cause], seed: int) -> str:
    """Return the sentence for a cell, of which the worst reload is described.

    Single lost connections are those of all reloads.
    """
    worst = worst_reload(reloads)
    names = short_names(label for reload in reloads for label in reload.addresses)
    if worst.verdict in ("ok", "unasked", "lossy"):
        said = [_tally(reloads, names) + _reservations(reloads, causes)]
    else:
        said = _Story(worst, causes, names).parts()
        others = sum(reload.verdict not in UNHARMED for reload in reloads) - 1
        if others:
            said.append(f"{counted(others, 'other reload')} {were(others)} hit too")
    said += _slowest(reloads) + _races(reloads)
    for cause in causes:
        if isinstance(cause, EndCause):
            at = f"before step {cause.step}" if cause.step else "by the end"
            said.append(f"HAProxy had ended {at}")
    if any(not each.steady and not each.overtaken for each in reloads):
        said.append("the addresses had not settled when the observation ended")
    return f"{'; '.join(said)} (seed {seed})"


def _tally(reloads: Sequence[ReloadResult], names: Mapping[str, str]) -> str:
    """Return how many connections were made and lost, in all reloads."""
    asked: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    for reload in reloads:
        for label, address in reload.expected.items():
            asked[label] += address.probes
            for outcome, count in address.failures.items():
                lost[label, outcome] += count
    if not asked.total():
        return "nothing was left to ask"
    if not lost:
        connections = f"all {counted(asked.total(), 'connection')}"
        return f"{connections} to {counted(len(asked), 'address')} were answered"
    hit = sum(reload.verdict not in UNHARMED for reload in reloads)
    kinds = [
        f"{count} to {names[label]} {_loss(outcome, count)}"
        for (label, outcome), count in lost.most_common()
    ]
    return (
        f"{lost.total()} of {counted(asked.total(), 'connection')} {were(lost.total())} lost "
        f"one at a time, in {hit} of {counted(len(reloads), 'reload')}: {listed(kinds)}"
    )


def _reservations(reloads: Sequence[ReloadResult], causes: Sequence[Cause]) -> str:
    """Return what HAProxy reported although nothing much was lost."""
    steps: dict[tuple[str, str], list[int]] = {}
    for reload in reloads:
        doubt = ", which was not true" if reload.is_true is False else ""
        if reload.reported == "failure":
            cause = _alert(causes, reload.step)
            said = f"{cause} and reported" if cause else "reported"
            steps.setdefault((f"{said} that", f"failed{doubt}"), []).append(reload.step)
        elif reload.reported is None and not reload.overtaken:
            steps.setdefault(("did not say what became of", ""), []).append(reload.step)
        elif doubt:
            steps.setdefault(("reported that", f"succeeded{doubt}"), []).append(reload.step)
    sentences = []
    for (said, became), numbers in steps.items():
        which = f"reload of step {numbers[0]}"
        if len(numbers) > 1:
            which = f"reloads of steps {listed(map(str, numbers))}"
        sentences.append(f"HAProxy {said} the {which} {became}".rstrip())
    return f", though {listed(sentences)}" if sentences else ""


def _races(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return how soon reloads came after the ones with which they raced."""
    gaps = [reload.gap for reload in reloads if reload.gap is not None]
    return [f"racing reloads came {_range(gaps, 3)} s after the ones before them"] if gaps else []


def _slowest(reloads: Sequence[ReloadResult]) -> list[str]:
    slowest = max(
        (each.slowest or 0.0 for reload in reloads for each in reload.expected.values()),
        default=0.0,
    )
    return [f"the slowest answer took {slowest:.2f} s"] if slowest > SLOW_SECONDS else []


class _Story:
    """The worst reload, in which addresses did not answer for a stretch of time."""

    def __init__(
        self, reload: ReloadResult, causes: Sequence[Cause], names: Mapping[str, str]
    ) -> None:
        self.reload = reload
        self.names = names
        self.alert = _alert(causes, reload.step)
        self.causes = [
            each for each in causes if isinstance(each, ListenerCause) and each.step == reload.step
        ]
        self.down, self.out, self.lossy = (
            {label: each for label, each in reload.expected.items() if each.verdict == verdict}
            for verdict in ("down", "outage", "lossy")
        )

    def parts(self) -> list[str]:
        first, *others = [*self._holders(self.down), *self._holders(self.out)]
        said = [f"{self._damage()}: {first}", *others]
        if self.lossy:
            said.append(f"single connections to {self._names(self.lossy)} were lost as well")
        return [*said, *self._report()]

    def _damage(self) -> str:
        """Return which addresses did not answer, and for how long."""
        step = f"the reload of step {self.reload.step}"
        said = []
        if self.down and not self.reload.silent:
            said.append(
                f"{self._names(self.down)} did not answer from {_offset(self._start())} to the end "
                f"of the observation at {_offset(self.reload.seconds)}"
            )
        if self.out:
            lengths = [each.outage_seconds for each in self.out.values()]
            stretches = sum(len(each.outages) for each in self.out.values())
            several = ", in several stretches" if stretches > len(self.out) else ""
            said.append(
                f"{self._names(self.out)} did not answer for {_range(lengths)} s "
                f"(from the last success before to the first after{several})"
            )
        if not self.reload.silent:
            return f"after {step}, {listed(said)}"
        silent = (
            f"HAProxy reported success{self._report_time()} after {step}, and {self._silence()}"
        )
        return f"{silent}, and {listed(said)}" if said else silent

    def _start(self) -> float:
        """Return when the first of the addresses that are down did not answer any more."""
        return min(each.outages[-1].start for each in self.down.values())

    def _silence(self) -> str:
        """Return what became of the addresses that are down once HAProxy had reported success."""
        start = self._start()
        since = f"from {_offset(start)} on" if start > self._reported_at() else "from then on"
        names = self._names(self.down)
        return f"{since} " + (
            f"nobody listened on {names}" if self._is_abandoned() else f"{names} did not answer"
        )

    def _is_abandoned(self) -> bool:
        """Return True if nobody listened on the addresses that are down after the report."""
        last = {label: each for each in self.causes for label in each.addresses}
        return all(
            label in last
            and not last[label].owners
            and last[label].start
            <= max(self._reported_at(), address.outages[-1].start) + last[label].uncertainty
            for label, address in self.down.items()
        )

    def _reported_at(self) -> float:
        return self.reload.reported_at or 0.0

    def _holders(self, hit: Mapping[str, AddressResult]) -> list[str]:
        """Return who held the listeners meanwhile, for addresses of the same fate at once."""
        of_hit = (each for each in self.causes if each.addresses[0] in hit)
        groups = {labels: [*group] for labels, group in groupby(of_hit, lambda c: c.addresses)}
        known = {label for labels in groups for label in labels}
        unknown = tuple(label for label in hit if label not in known)
        said = [
            f"{self._phases(labels, causes)}, and {listed(self._losses(labels))}"
            for labels, causes in groups.items()
        ]
        if unknown:
            who = f"who held {self._listeners(unknown)} was not observed"
            said.append(f"{who}, and {listed(self._losses(unknown))}")
        return said

    def _lost(self, labels: Sequence[str]) -> Counter[str]:
        lost: Counter[str] = Counter()
        for label in labels:
            lost.update(self.reload.addresses[label].failures)
        return lost

    def _losses(self, labels: Sequence[str]) -> list[str]:
        (first, count), *others = self._lost(labels).most_common()
        return [
            f"{counted(count, 'connection')} {_loss(first, count)}",
            *(f"{count} {_loss(outcome, count)}" for outcome, count in others),
        ]

    def _phases(self, labels: Sequence[str], causes: Sequence[ListenerCause]) -> str:
        said = []
        for number, cause in enumerate(causes):
            if cause.owners:
                said.append(self._held(cause, labels, is_first=number == 0))
            else:
                said.append(
                    self._unheld(cause, labels, is_first=number == 0) + _describe_neighbours(cause)
                )
        return ", then ".join(said)

    def _held(self, cause: ListenerCause, labels: Sequence[str], is_first: bool) -> str:
        time = f"from {_offset(cause.start)} to {_offset(cause.end)}"
        what = self._listeners(labels) if is_first else "it" if len(labels) == 1 else "them"
        text = f"{_holder_names(cause.owners)} held {what} {time}"
        is_queued = cause.queue or self._lost(labels).most_common(1)[0][0] in _QUEUED
        if {"new worker", "new process", "master"} & {*cause.owners} and is_queued:
            text += " and accepted nothing"
        elif cause.owners != ("stranger",):
            text += " and yet did not answer"
        return text + (f", its queue grew to {cause.queue}" if cause.queue else "")

    def _unheld(self, cause: ListenerCause, labels: Sequence[str], is_first: bool) -> str:
        time = f"from {_offset(cause.start)} to {_offset(cause.end)}"
        is_said = self.reload.silent and {*labels} == {*self.down} and self._is_abandoned()
        if is_first and is_said and cause.end == self.reload.seconds:
            return f"nobody did {time}, the end of the observation"
        where = f"on {self._names(labels)} " if is_first else ""
        return f"nobody listened {where}{time}"

    def _report(self) -> list[str]:
        """Return what HAProxy wrote and reported of the reload, and whether that was true."""
        said = [self.alert] if self.alert else []
        if self.reload.reported is None:
            until = " before the next" if self.reload.overtaken else ""
            said.append(f"did not say what became of the reload{until}")
        elif not self.reload.silent:
            is_false = self.reload.is_true is False and not self.down
            doubt = ", which was not true" if is_false else ""
            said.append(f"reported {self.reload.reported}{self._report_time()}{doubt}")
        return [f"HAProxy {listed(said)}"] if said else []

    def _report_time(self) -> str:
        at = self.reload.reported_at
        return "" if at is None else f" at {_offset(at)}"

    def _names(self, labels: Mapping[str, object] | Sequence[str]) -> str:
        return listed(self.names[label] for label in labels)

    def _listeners(self, labels: Sequence[str]) -> str:
        return f"the listener{'s' * (len(labels) > 1)} of {self._names(labels)}"


def _describe_neighbours(cause: ListenerCause) -> str:
    """Return the holders before and after the time in which nobody listened."""
    earlier, later = _holder_names(cause.before), _holder_names(cause.after)
    if earlier and earlier == later:
        return f" ({earlier} did before and after)"
    said = [f"{earlier} did before"] * bool(earlier) + [f"{later} did after"] * bool(later)
    return f" ({listed(said)})" if said else ""


def _holder_names(holders: Sequence[str]) -> str:
    return listed("another process" if each == "stranger" else f"the {each}" for each in holders)


def _alert(causes: Sequence[Cause], step: int | None) -> str:
    """Return the alert of a step as what HAProxy did; nothing without one."""
    for cause in causes:
        if isinstance(cause, AlertCause) and cause.step == step:
            if cause.bind is not None:
                reason = f" ({cause.reason})" if cause.reason else ""
                return f"could not bind {cause.bind}{reason}"
            text = cause.text
            short = text if len(text) <= _QUOTE else f"{text[:_QUOTE].rstrip()}…"
            return f'said "{printable(short)}"'
    return ""


def _loss(outcome: str, count: int) -> str:
    return _LOSSES[outcome].format(were=were(count))


def _range(values: Sequence[float], digits: int = 2) -> str:
    return spread(f"{min(values):.{digits}f}", f"{max(values):.{digits}f}")


def _offset(seconds: float) -> str:
    text = f"{seconds:+.2f} s"
    return text.replace("-0.00", "+0.00")
