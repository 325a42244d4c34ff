"""The verdict on a reload: what it did to the addresses that should have answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hatester.analysis import answers
from hatester.analysis.old_workers import master_use, old_workers
from hatester.analysis.outages import Stretch, find_stretches
from hatester.analysis.outcomes import SEVERITY
from hatester.analysis.reload_model import (
    AddressResult,
    AddressVerdict,
    ListenerHolder,
    Outage,
    ReloadResult,
    round_seconds,
)
from hatester.analysis.timeline import Timeline, cut, holdings
from provision.guest.client_records import Probe
from provision.guest.protocol import Reload


def lasting_addresses(timeline: Timeline, reload: Reload) -> list[str]:
    """Return the addresses that are there all through a reload, and bound before and after."""
    before = timeline.configurations.get(answers.in_service(timeline, reload) or "", ())
    bound = timeline.configurations.get(reload.config, ())
    return [label for label in bound if label in before and label in reload.present]


def expected_addresses(timeline: Timeline, reload: Reload) -> list[str]:
    """Return the lasting addresses, and those that should answer in the end and do not.

    One that is bound anew, or has come back, should answer in the end if HAProxy reports success.
    """
    lasting = lasting_addresses(timeline, reload)
    is_loaded = reload.reported == "success" and reload.steady
    return [
        label
        for label in timeline.configurations.get(reload.config, ())
        if label in lasting
        or (is_loaded and label in reload.in_the_end and _is_dead(timeline, reload, label))
    ]


def _is_dead(timeline: Timeline, reload: Reload, label: str) -> bool:
    """Return whether an address did not answer at the end of a reload's observation."""
    probes = timeline.sent(label, reload.at, reload.until)
    return len(probes) > 1 and not probes[-1].is_ok and not probes[-2].is_ok


def judge_reload(timeline: Timeline, reload: Reload, lateness: float) -> ReloadResult:
    """Return the result of a reload; `lateness` is the prober's greatest."""
    lasting, expected = lasting_addresses(timeline, reload), expected_addresses(timeline, reload)
    addresses = {
        label: _address(timeline, reload, label, label in expected, label in lasting)
        for label in dict.fromkeys((*timeline.addresses, *expected))
    }
    verdicts = (addresses[label].verdict or "ok" for label in expected)
    worst = max(verdicts, key=SEVERITY.index, default="unasked")
    stale = answers.stale_answers(timeline, reload)
    return ReloadResult.model_validate(
        {
            **vars(reload),
            "reported_at": _since(reload, reload.reported_at),
            "is_true": False if stale else _is_true(timeline, reload, addresses),
            "verdict": worst,
            "silent": reload.reported == "success" and worst == "down",
            "seconds": _since(reload, reload.until),
            "overtaken": timeline.is_overtaken(reload),
            "addresses": addresses,
            "has_no_effect": _has_no_effect(timeline, reload),
            "listeners": _holders(timeline, reload),
            "latency": answers.latency(timeline, reload, lasting),
            "slow": answers.slowed(timeline, reload, lasting, lateness),
            "stale": stale,
            "old_workers": old_workers(timeline, reload),
            "master": master_use(timeline, reload),
        }
    )


def _has_no_effect(timeline: Timeline, reload: Reload) -> bool:
    """Return whether a reload had no effect at all.

    HAProxy did not report it, though it had the time, and no process of HAProxy's began meanwhile.
    """
    own = [each for each in timeline.processes if each.kind != "stranger"]
    is_unsaid = reload.reported is None and reload.refusal is None and reload.steady
    has_begun = any(reload.at < each.start <= reload.until for each in own)
    return is_unsaid and bool(own) and not has_begun


def _holders(timeline: Timeline, reload: Reload) -> tuple[ListenerHolder, ...]:
    """Return the holders of the listeners from the reload to the end of its observation."""
    return tuple(
        ListenerHolder.model_validate(
            {**vars(each), "start": _since(reload, each.start), "end": _since(reload, each.end)}
        )
        for label in timeline.held
        for each in cut(holdings(timeline, reload, label), reload.at, reload.until)
    )


def _address(
    timeline: Timeline, reload: Reload, label: str, is_expected: bool, is_lasting: bool
) -> AddressResult:
    """Return the result of an address. Only one that is expected can have an outage."""
    probes = timeline.sent(label, reload.at, reload.until)
    answered = [probe for probe in probes if probe.is_ok]
    lost = [probe for probe in probes if not probe.is_ok]
    found = find_stretches(timeline, reload, label) if is_expected else []
    return AddressResult.model_validate(
        {
            "expected": is_expected,
            "is_new": is_expected and not is_lasting,
            "verdict": _verdict(lost, found) if is_expected else None,
            "outage_seconds": round_seconds(sum((each.end - each.start for each in found), 0.0)),
            "first_failure": _since(reload, lost[0].sent) if lost else None,
            "last_failure": _since(reload, lost[-1].sent) if lost else None,
            "probes": len(probes),
            "failures": dict(Counter(probe.outcome for probe in lost)),
            "outages": tuple(
                Outage(
                    start=round_seconds(each.start - reload.at),
                    end=round_seconds(each.end - reload.at),
                    share=each.share,
                )
                for each in found
            ),
            "slowest": max(
                (round_seconds(each.ended - each.sent) for each in answered), default=None
            ),
            "answers": dict(Counter(each.configuration for each in answered if each.configuration)),
        }
    )


def _since(reload: Reload, at: float | None) -> float | None:
    """Return seconds from a reload to a moment; None for no moment."""
    return None if at is None else round_seconds(at - reload.at)


def _verdict(lost: Sequence[Probe], found: Sequence[Stretch]) -> AddressVerdict:
    if found:
        return "outage" if found[-1].is_over else "down"
    return "lossy" if lost else "ok"


def _is_true(
    timeline: Timeline, reload: Reload, addresses: Mapping[str, AddressResult]
) -> bool | None:
    """Return whether HAProxy's report agrees with what answers in the end.

    None when it reported nothing, and when no answer shows which configuration it came from.
    """
    right = reload.config if reload.reported == "success" else answers.in_service(timeline, reload)
    expected = [label for label, address in addresses.items() if address.expected]
    if reload.reported is None or not expected:
        return None
    is_down = any(addresses[label].verdict == "down" for label in expected)
    if reload.reported == "success" and is_down:
        return False
    last = [
        answers.last_answer(timeline.sent(label, reload.at, reload.until)) for label in expected
    ]
    known = [answer for answer in last if answer is not None]
    return all(answer == right for answer in known) if known else None
