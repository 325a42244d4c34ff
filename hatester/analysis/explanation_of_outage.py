"""Clauses of an explanation about the worst reload, with an outage or an address that is down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from hatester.analysis.notes import share_words
from hatester.analysis.reload_model import (
    AddressResult,
    AlertCause,
    Cause,
    ListenerCause,
    ReloadResult,
)
from hatester.util.text import counted, listed, printable, spread, were

_QUOTE = 120
_QUEUED = ("reset", "timeout")
"""The ends of connections that no process has accepted."""
_LOSSES = {
    "refused": "{were} refused",
    "reset": "{were} reset",
    "timeout": "timed out",
    "unreachable": "found no way there",
    "empty": "{were} closed without an answer",
    "wrong": "got a wrong answer",
}


class Story:
    """The worst reload, in which addresses did not answer for a stretch of time."""

    def __init__(
        self, reload: ReloadResult, causes: Sequence[Cause], names: Mapping[str, str]
    ) -> None:
        """`names` has short names of addresses, by their labels."""
        self.reload = reload
        self.names = names
        self.reported_at = reload.reported_at or 0.0
        self.alert = alert(causes, reload.step)
        self.causes = [
            each for each in causes if isinstance(each, ListenerCause) and each.step == reload.step
        ]
        self.down, self.out, self.lossy = (
            {label: each for label, each in reload.expected.items() if each.verdict == verdict}
            for verdict in ("down", "outage", "lossy")
        )

    def parts(self) -> list[str]:
        """Return the clauses of the story, the damage first."""
        first, *others = [*self._holders(self.down), *self._holders(self.out)]
        said = [f"{self._damage()}: {first}", *others]
        if self.lossy:
            said.append(f"single connections to {self._names(self.lossy)} were lost as well")
        return [*said, *self._report()]

    def _damage(self) -> str:
        """Return which addresses did not answer, and for how long."""
        step = f"the {self.reload.verb} of step {self.reload.step}"
        said = []
        if self.down and not self.reload.silent:
            said.append(
                f"{self._failing(self.down)} from {offset(self._start())} to the end of the "
                f"observation at {offset(self.reload.seconds)}"
            )
        said += self._outages()
        if not self.reload.silent:
            return f"after {step}, {listed(said)}"
        silent = (
            f"HAProxy reported success at {offset(self.reported_at)} after {step}, "
            f"and {self._silence()}"
        )
        return f"{silent}, and {listed(said)}" if said else silent

    def _outages(self) -> list[str]:
        """Return how long addresses did not answer, wholly or in part."""
        partly = {label: each for label, each in self.out.items() if self._is_partial(label)}
        wholly = {label: each for label, each in self.out.items() if label not in partly}
        said = []
        for hit in filter(None, (wholly, partly)):
            lengths = [each.outage_seconds for each in hit.values()]
            stretches = sum(len(each.outages) for each in hit.values())
            several = ", in several stretches" if stretches > len(hit) else ""
            said.append(
                f"{self._failing(hit)} for {spread(lengths, 2, ' to ')} s "
                f"(from the last success before to the first after{several})"
            )
        return said

    def _failing(self, hit: Mapping[str, AddressResult]) -> str:
        """Return that addresses did not answer, or that a share of their connections failed."""
        share = share_words(outage.share for each in hit.values() for outage in each.outages)
        if not share:
            return f"{self._names(hit)} did not answer"
        return f"{share} of the connections to {self._names(hit)} failed"

    def _start(self) -> float:
        """Return when the first of the addresses that are down did not answer any more."""
        return min(each.outages[-1].start for each in self.down.values())

    def _silence(self) -> str:
        """Return the fate of the addresses that are down since HAProxy reported success."""
        start = self._start()
        since = f"from {offset(start)} on" if start > self.reported_at else "from then on"
        anew = all(each.is_new for each in self.down.values())
        which = ", which it had bound anew" if anew else ""
        if self._is_abandoned():
            return f"{since} nobody listened on {self._names(self.down)}{which}"
        if not anew:
            return f"{since} {self._failing(self.down)}"
        is_dead = all(sum(e.failures.values()) == e.probes for e in self.down.values())
        return (
            f"{self._names(self.down)}{which}, {'never answered' if is_dead else 'did not answer'}"
        )

    def _is_abandoned(self) -> bool:
        """Return True if nobody listened on the addresses that are down after the report."""
        last = {label: each for each in self.causes for label in each.addresses}
        return all(
            label in last
            and not last[label].owners
            and last[label].start
            <= max(self.reported_at, address.outages[-1].start) + last[label].uncertainty
            for label, address in self.down.items()
        )

    def _holders(self, hit: Mapping[str, AddressResult]) -> list[str]:
        """Return the holders of the listeners meanwhile; addresses of one fate share a clause."""
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
        failures = (Counter[str](self.reload.addresses[label].failures) for label in labels)
        return sum(failures, Counter())

    def _losses(self, labels: Sequence[str]) -> list[str]:
        (first, count), *others = self._lost(labels).most_common()
        return [
            f"{counted(count, 'connection')} {loss(first, count)}",
            *(f"{count} {loss(outcome, count)}" for outcome, count in others),
        ]

    def _phases(self, labels: Sequence[str], causes: Sequence[ListenerCause]) -> str:
        said = []
        for number, cause in enumerate(causes):
            if cause.owners:
                said.append(self._held(cause, labels, is_first=number == 0))
            else:
                said.append(
                    self._unheld(cause, labels, is_first=number == 0)
                    + _describe_neighbours(cause)
                    + _describe_dormant(cause)
                )
        return ", then ".join(said)

    def _held(self, cause: ListenerCause, labels: Sequence[str], is_first: bool) -> str:
        time = f"from {offset(cause.start)} to {offset(cause.end)}"
        what = self._listeners(labels) if is_first else "it" if len(labels) == 1 else "them"
        text = f"{_holder_names(cause.owners)} held {what} {time}"
        is_queued = cause.queue or self._lost(labels).most_common(1)[0][0] in _QUEUED
        if any(self._is_partial(label) for label in labels):
            text += " meanwhile"
        elif {"new worker", "new process", "master"} & {*cause.owners} and is_queued:
            text += " and accepted nothing"
        elif cause.owners != ("stranger",):
            text += " and yet did not answer"
        return text + (f", its queue grew to {cause.queue}" if cause.queue else "")

    def _is_partial(self, label: str) -> bool:
        outages = self.reload.addresses[label].outages
        return bool(share_words(outage.share for outage in outages))

    def _unheld(self, cause: ListenerCause, labels: Sequence[str], is_first: bool) -> str:
        time = f"from {offset(cause.start)} to {offset(cause.end)}"
        is_said = self.reload.silent and {*labels} == {*self.down} and self._is_abandoned()
        if is_first and is_said and cause.end == self.reload.seconds:
            return f"nobody did {time}, the end of the observation"
        where = f"on {self._names(labels)} " if is_first else ""
        return f"nobody listened {where}{time}"

    def _report(self) -> list[str]:
        """Return HAProxy's alert and its report of the reload, and whether that was true."""
        said = [self.alert] if self.alert else []
        if self.reload.reported is None and self.reload.refusal is None:
            until = " before the next" if self.reload.overtaken else ""
            said.append(f"did not say what became of the {self.reload.verb}{until}")
        elif self.reload.reported and not self.reload.silent:
            is_false = self.reload.is_true is False and not self.down
            doubt = ", which was not true" if is_false else ""
            at = offset(self.reported_at)
            said.append(f"reported {self.reload.reported} at {at}{doubt}")
        return [f"HAProxy {listed(said)}"] if said else []

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


def _describe_dormant(cause: ListenerCause) -> str:
    """Return the holders of a socket that did not listen any more."""
    if not cause.dormant:
        return ""
    what = "the socket" if len(cause.addresses) == 1 else "the sockets"
    left = "had left" if len(cause.addresses) == 1 else "had all left"
    return f", although {_holder_names(cause.dormant)} held {what}, which {left} LISTEN"


def _holder_names(holders: Sequence[str]) -> str:
    return listed("another process" if each == "stranger" else f"the {each}" for each in holders)


def alert(causes: Sequence[Cause], step: int | None) -> str:
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


def loss(outcome: str, count: int) -> str:
    """Return the end of so many connections as a predicate."""
    return _LOSSES[outcome].format(were=were(count))


def offset(seconds: float) -> str:
    """Return seconds from a reload, with their sign."""
    text = f"{seconds:+.2f} s"
    return text.replace("-0.00", "+0.00")
