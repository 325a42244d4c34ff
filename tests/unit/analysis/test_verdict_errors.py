"""Evidence by which HAProxy is not judged: too little of it, or of too little worth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.evidence import A43, A44, A45, AT, STATS, everywhere, evidence, judge, reload


def test_without_a_reload_nothing_was_measured() -> None:
    found = judge(evidence(reloads=[]))
    assert (found.verdict, found.explanation) == ("error", "no reload was observed")
    assert (found.silent, found.reloads) == (None, ())


def test_failure_before_the_reload() -> None:
    found = judge(evidence({A45: [(0.9, 9.0, "refused")], A44: [(0.9, 1.0, "refused")]}))
    assert (found.verdict, found.explanation) == (
        "error",
        "before any reload, 192.168.42.44:80 and 192.168.42.45:80 refused the connection",
    )


def test_failure_long_before_the_reload() -> None:
    assert judge(evidence({A45: [(0.0, AT - 1.01, "refused")]})).verdict == "ok"


@pytest.mark.parametrize(("until", "verdict"), [(AT - 0.08, "ok"), (AT, "error")])
def test_address_that_was_just_added(until: float, verdict: str) -> None:
    source = evidence({A45: [(0.0, until, "unreachable")]})
    step = {"step": 2, "verb": "add", "what": "192.168.42.45/32", "at": AT - 0.1, "commands": []}
    source["steps"] = [*source["steps"], step]
    assert judge(source).verdict == verdict


@pytest.mark.parametrize("probes", [[], None])
def test_address_never_asked(probes: Any) -> None:
    source = evidence()
    asked = [probe for probe in source["probes"] if source["addresses"][probe[0]] != STATS]
    source["probes"] = asked if probes is None else probes
    found = judge(source)
    assert found.verdict == "error"
    label = STATS if probes is None else A44
    assert found.explanation == f"in the reload of step 6, {label} was never asked"


def test_short_reload_may_ask_nothing() -> None:
    source = evidence(reloads=[reload(until=AT + 0.03, steady=False), reload(step=7, at=AT + 0.03)])
    source["probes"] = [probe for probe in source["probes"] if not AT <= probe[2] < AT + 0.03]
    found = judge(source)
    assert (found.verdict, found.reloads[0].addresses[A44].probes) == ("ok", 0)


@pytest.mark.parametrize(("late", "verdict"), [(0.0, "good"), (0.019, "good"), (0.021, "late")])
def test_slipping_prober_is_late(late: float, verdict: str) -> None:
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


HEAVY = "watching took 81% of the guest's processors"
STARVED = "one probe of a hundred was sent 0.60 s late or more"


@pytest.mark.parametrize(
    ("made", "verdict", "quality", "said"),
    [
        ({"burden": 0.5}, "outage", "good", ""),
        ({"burden": 0.8}, "error", "heavy", HEAVY),
        ({"burden": 0.3, "clock": "virtual"}, "outage", "good", ""),
        ({"burden": 0.4, "clock": "virtual"}, "error", "heavy", ""),
        ({"late": 0.4}, "outage", "late", ""),
        ({"late": 0.6}, "error", "starved", STARVED),
        ({"late": 0.6, "clock": "virtual"}, "outage", "late", ""),
    ],
)
def test_heavy_burden_and_a_starved_guest_are_errors(
    made: dict[str, Any], verdict: str, quality: str, said: str
) -> None:
    found = judge(evidence(everywhere((1.5, 3.0, "timeout")), **made))
    assert (found.verdict, found.quality and found.quality.verdict) == (verdict, quality)
    assert said in found.explanation


def test_nothing_to_ask_is_unasked() -> None:
    alone = reload(present=[], reported="failure")
    found = judge(
        {**evidence(reloads=[alone]), "configurations": {"with": [A43], "without": [A43]}}
    )
    assert (found.verdict, found.silent) == ("unasked", False)
    assert found.reloads[0].verdict == "unasked"
    assert "nothing was left to ask" in found.explanation
    assert "failed" in found.explanation
