"""Evidence by which HAProxy is not judged: too little of it, or of too little worth."""

from __future__ import annotations

from typing import Any

import pytest

from hatester.analysis.verdict import is_same_version
from tests.factories.evidence import (
    A43,
    A44,
    A45,
    AT,
    STATS,
    everywhere,
    evidence,
    judge,
    reload,
)


def test_without_a_reload_nothing_was_measured() -> None:
    found = judge(evidence(reloads=[]))
    assert (found.verdict, found.explanation) == ("error", "no reload was observed")
    assert (found.silent, found.reloads) == (None, ())


def test_what_was_not_well_before_the_reload_is_no_verdict_on_the_reload() -> None:
    found = judge(evidence({A45: [(0.9, 9.0, "refused")], A44: [(0.9, 1.0, "refused")]}))
    assert (found.verdict, found.explanation) == (
        "error",
        "before any reload, 192.168.42.44:80 and 192.168.42.45:80 refused the connection",
    )


def test_what_was_not_well_long_before_the_reload_does_not_matter() -> None:
    assert judge(evidence({A45: [(0.0, AT - 1.01, "refused")]})).verdict == "ok"


@pytest.mark.parametrize("probes", [[], None])
def test_an_expected_address_that_was_never_asked_cannot_be_judged(probes: Any) -> None:
    source = evidence()
    asked = [probe for probe in source["probes"] if source["addresses"][probe[0]] != STATS]
    source["probes"] = asked if probes is None else probes
    found = judge(source)
    assert found.verdict == "error"
    label = STATS if probes is None else A44
    assert found.explanation == f"in the reload of step 6, {label} was never asked"


def test_in_a_reload_shorter_than_two_intervals_an_address_may_be_unasked() -> None:
    source = evidence(reloads=[reload(until=AT + 0.03, steady=False), reload(step=7, at=AT + 0.03)])
    source["probes"] = [probe for probe in source["probes"] if not AT <= probe[2] < AT + 0.03]
    found = judge(source)
    assert (found.verdict, found.reloads[0].addresses[A44].probes) == ("ok", 0)


@pytest.mark.parametrize(("late", "verdict"), [(0.0, "good"), (0.019, "good"), (0.021, "late")])
def test_a_prober_that_slips_by_an_interval_is_late(late: float, verdict: str) -> None:
    quality = judge(evidence(late=late)).quality
    assert quality
    assert quality.model_dump() == {
        "verdict": verdict,
        "lateness_p50": pytest.approx(late),
        "lateness_p99": pytest.approx(late),
        "lateness_max": pytest.approx(late),
        "probes": 1200,
        "interval": 0.02,
        "burden": pytest.approx(0.108, abs=0.001),
    }


@pytest.mark.parametrize(
    ("said", "package", "same"),
    [
        ("2.2.9-2+deb11u6", "2.2.9-2+deb11u6", True),
        ("3.2.26-1", "1:3.2.26-1+b2", True),
        ("3.2.26-1", "3.2.26-2", False),
        ("2.2.9", "2.2.9-2+deb11u6", False),
    ],
)
def test_haproxys_version_is_compared_with_the_packages(
    said: str, package: str, same: bool
) -> None:
    assert is_same_version(said, package) is same


def test_on_the_virtual_clock_watching_may_take_less_of_the_guest() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, burden=0.3, clock="virtual")).verdict == "outage"
    assert judge(evidence(failures, burden=0.4, clock="real")).verdict == "outage"
    found = judge(evidence(failures, burden=0.4, clock="virtual"))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "heavy")


def test_on_the_virtual_clock_the_host_cannot_keep_the_guest_from_running() -> None:
    found = judge(evidence(everywhere((1.5, 3.0, "timeout")), late=0.6, clock="virtual"))
    assert (found.verdict, found.quality and found.quality.verdict) == ("outage", "late")


def test_where_watching_took_too_much_of_the_guest_nothing_is_said_of_haproxy() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, burden=0.5)).verdict == "outage"
    found = judge(evidence(failures, burden=0.8))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "heavy")
    assert found.explanation.startswith("watching took 81% of the guest's processors")


def test_where_the_host_kept_the_guest_from_running_nothing_is_said_of_haproxy() -> None:
    failures = everywhere((1.5, 3.0, "timeout"))
    assert judge(evidence(failures, late=0.4)).verdict == "outage"
    found = judge(evidence(failures, late=0.6))
    assert (found.verdict, found.quality and found.quality.verdict) == ("error", "starved")
    assert "one probe of a hundred was sent 0.60 s late or more" in found.explanation


def test_a_reload_that_leaves_nothing_to_ask_is_never_ok() -> None:
    alone = reload(present=[], reported="failure")
    found = judge(
        {**evidence(reloads=[alone]), "configurations": {"with": [A43], "without": [A43]}}
    )
    assert (found.verdict, found.silent) == ("unasked", False)
    assert found.reloads[0].verdict == "unasked"
    assert "nothing was left to ask" in found.explanation
    assert "failed" in found.explanation
