"""Explanations: why a cell's verdict is what it is, in one sentence from its causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hatester.analysis.explanation_of_notes import describe_askers, describe_clients, describe_notes
from hatester.analysis.explanation_of_outage import Story, alert, loss
from hatester.analysis.model import Quality
from hatester.analysis.outcomes import short_names, worst_reload
from hatester.analysis.reload_model import (
    Cause,
    EndCause,
    ObstacleCause,
    ReloadResult,
    StartCause,
    UnansweredCause,
    UnaskedCause,
)
from hatester.util.text import counted, grouped, listed, spread, were

SLOW_SECONDS = 0.5
"""An answer that took longer is worth a word."""
UNHARMED = ("ok", "unasked")
"""Verdicts on a reload in which no connection was lost."""
_COMPLAINTS = {
    "refused": "refused the connection",
    "reset": "reset the connection",
    "timeout": "did not answer in time",
    "unreachable": "could not be reached",
    "empty": "closed the connection without an answer",
    "wrong": "gave a wrong answer",
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
    alike = grouped((outcome, label) for label, outcome in failed.items())
    return ", ".join(
        f"{listed(labels)} {_COMPLAINTS[outcome]}" for outcome, labels in alike.items()
    )


def explain_start(causes: Sequence[Cause], seed: int) -> str:
    """Return the sentence for a cell in which HAProxy did not start."""
    said = _starts(causes) + [
        _unstarted(each, alert(causes, None) or each.reason)
        for each in causes
        if isinstance(each, EndCause) and each.step is not None
    ]
    return f"{'; '.join(said[-1:])} (seed {seed})"


def _starts(causes: Sequence[Cause]) -> list[str]:
    """Return the starts that failed, and were allowed to."""
    return [
        f"in step {each.step}, {_unstarted(each, alert(causes, each.step) or each.reason)}"
        for each in causes
        if isinstance(each, StartCause)
    ]


def _unstarted(cause: EndCause | StartCause, said: str) -> str:
    names = listed(cause.missing)
    missing = f" while {names} {were(len(cause.missing))} missing" if names else ""
    return f"HAProxy did not start{missing}: it {said}"


def explain(reloads: Sequence[ReloadResult], causes: Sequence[Cause], seed: int) -> str:
    """Return the sentence for a cell, of which the worst reload is described.

    Single lost connections are those of all reloads.
    """
    worst = worst_reload(reloads)
    names = short_names(label for reload in reloads for label in reload.addresses)
    if worst.verdict in ("ok", "unasked", "lossy"):
        said = [_tally(reloads, names) + _reservations(reloads, causes)]
    else:
        said = Story(worst, causes, names).parts()
        others = sum(reload.verdict not in UNHARMED for reload in reloads) - 1
        if others:
            said.append(f"{counted(others, 'other reload')} {were(others)} hit too")
    said += _starts(causes) + describe_askers(reloads) + describe_notes(reloads, names)
    said += describe_clients(reloads, names)
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
        f"{count} to {names[label]} {loss(outcome, count)}"
        for (label, outcome), count in lost.most_common()
    ]
    return (
        f"{lost.total()} of {counted(asked.total(), 'connection')} {were(lost.total())} lost "
        f"one at a time, in {hit} of {counted(len(reloads), 'reload')}: {listed(kinds)}"
    )


def _reservations(reloads: Sequence[ReloadResult], causes: Sequence[Cause]) -> str:
    """Return HAProxy's reports that do not fit the losses, or that are missing."""
    steps: dict[tuple[str, str, str], list[int]] = {}
    for reload in reloads:
        doubt = ", which was not true" if reload.is_true is False else ""
        if reload.reported == "failure":
            cause = alert(causes, reload.step)
            said = f"{cause} and reported that" if cause else "reported that"
            became = f"failed{doubt}"
        elif reload.reported is None and not (reload.overtaken or reload.refusal):
            said, became = "did not say what became of", ""
        elif doubt:
            said, became = "reported that", f"succeeded{doubt}"
        else:
            continue
        steps.setdefault((said, reload.verb, became), []).append(reload.step)
    sentences = []
    for (said, verb, became), numbers in steps.items():
        which = f"{verb} of step {numbers[0]}"
        if len(numbers) > 1:
            which = f"{verb}s of steps {listed(map(str, numbers))}"
        sentences.append(f"HAProxy {said} the {which} {became}".rstrip())
    return f", though {listed(sentences)}" if sentences else ""


def _races(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return how soon reloads came after the ones with which they raced."""
    gaps = [reload.gap for reload in reloads if reload.gap is not None]
    if not gaps:
        return []
    return [f"racing reloads came {spread(gaps, 3, ' to ')} s after the ones before them"]


def _slowest(reloads: Sequence[ReloadResult]) -> list[str]:
    """Return how long the slowest answer took, where no reload is known to have slowed it."""
    if any(reload.slow for reload in reloads):
        return []
    slowest = max(
        (each.slowest or 0.0 for reload in reloads for each in reload.expected.values()),
        default=0.0,
    )
    return [f"the slowest answer took {slowest:.2f} s"] if slowest > SLOW_SECONDS else []
