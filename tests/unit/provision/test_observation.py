"""The length of an observation, on a made-up clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provision.guest.observation import (
    IDLE_SECONDS,
    SETTLE_SECONDS,
    SILENT_SECONDS,
    STEADY_SECONDS,
    UNANSWERED_SECONDS,
    Idleness,
    Observation,
)
from provision.guest.plan import REPORT_SECONDS, PlannedStep
from provision.guest.reload_requests import ReloadRequest
from tests.factories.guest import FAILURE, PAUSED, SUCCESS, MadeUpClock, MadeUpRecorder

STEP = PlannedStep("reload", None, what="with", present=["a"], in_the_end=["a"])
EARLY, LATE = 0.03, 0.1
"""Seconds by which a moment may differ: news come with each poll."""


@pytest.fixture
def clock() -> MadeUpClock:
    return MadeUpClock()


@pytest.fixture
def recorder(clock: MadeUpClock) -> MadeUpRecorder:
    recorder = MadeUpRecorder(clock)
    clock.sleep_until(10.0)
    return recorder


@pytest.fixture
def observation(recorder: MadeUpRecorder) -> Observation:
    """Observe a reload that is asked for at 10 s."""
    observation = Observation(recorder, 3, STEP, None)
    observation.request = ReloadRequest(is_heard=True)
    return observation


def is_soon_after(moment: float, expected: float) -> bool:
    return expected - EARLY <= moment <= expected + LATE


@pytest.mark.parametrize(("line", "word"), [(SUCCESS, "success"), (FAILURE, "failure")])
def test_watched_on_after_the_report(
    clock: MadeUpClock, recorder: MadeUpRecorder, observation: Observation, line: str, word: str
) -> None:
    clock.at(10.4, lambda: recorder.write(line))
    entry = observation.complete()
    assert (entry.reported, entry.reported_at) == (word, 10.4)
    assert entry.steady
    assert is_soon_after(entry.until, 10.4 + SILENT_SECONDS)


def test_later_words_of_haproxy_prolong(
    clock: MadeUpClock, recorder: MadeUpRecorder, observation: Observation
) -> None:
    clock.at(10.4, lambda: recorder.write(SUCCESS))
    clock.at(12.0, lambda: recorder.write("[WARNING] (1) : Proxy main stopped."))
    clock.at(13.5, lambda: recorder.write("192.0.2.1:5000 main main/<NOSRV> 200"))
    assert is_soon_after(observation.complete().until, 12.0 + SILENT_SECONDS)


def test_late_outage_prolongs(
    clock: MadeUpClock, recorder: MadeUpRecorder, observation: Observation
) -> None:
    clock.at(10.4, lambda: recorder.write(SUCCESS))
    clock.at(12.3, lambda: recorder.become("refused"))
    entry = observation.complete()
    assert entry.steady
    assert is_soon_after(entry.until, 12.3 + STEADY_SECONDS)


def test_unsteady_address_is_watched_to_the_bound(
    clock: MadeUpClock, recorder: MadeUpRecorder, observation: Observation
) -> None:
    clock.at(10.4, lambda: recorder.write(SUCCESS))
    for number in range(100):
        outcome = ("refused", "ok")[number % 2]
        clock.at(10.0 + number / 2, lambda outcome=outcome: recorder.become(outcome))  # type: ignore[misc]
    entry = observation.complete()
    assert not entry.steady
    assert is_soon_after(entry.until, 10.4 + SETTLE_SECONDS)


def test_missing_report_is_awaited_to_the_bound(observation: Observation) -> None:
    entry = observation.complete()
    assert (entry.reported, entry.reported_at) == (None, None)
    assert entry.steady
    assert is_soon_after(entry.until, 10.0 + REPORT_SECONDS)


def test_overtaken_reload_ends_at_once(observation: Observation) -> None:
    entry = observation.end()
    assert (entry.at, entry.until, entry.steady) == (10.0, 10.0, False)


def pauses(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.at(11.0, lambda: recorder.write(PAUSED))


def reports(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.at(11.0, lambda: recorder.write(FAILURE))


def falls_silent(clock: MadeUpClock, recorder: MadeUpRecorder) -> None:
    clock.at(11.0 - UNANSWERED_SECONDS, lambda: recorder.become("refused"))


@pytest.mark.parametrize(
    ("happens", "is_heard"),
    [(pauses, True), (reports, True), (falls_silent, False), (reports, False)],
)
def test_retries_are_noticed(
    happens: Callable[[MadeUpClock, MadeUpRecorder], None], is_heard: bool, clock: MadeUpClock,
    recorder: MadeUpRecorder, observation: Observation,
) -> None:  # fmt: skip
    observation.request = ReloadRequest(is_heard)
    happens(clock, recorder)
    observation.wait_for_retries()
    assert is_soon_after(clock.now(), 11.0)


def test_silence_is_not_a_retry_where_haproxy_is_heard(
    clock: MadeUpClock, recorder: MadeUpRecorder, observation: Observation
) -> None:
    falls_silent(clock, recorder)
    observation.wait_for_retries()
    assert is_soon_after(clock.now(), 10.0 + REPORT_SECONDS)


def test_busy_master_is_not_idle(clock: MadeUpClock) -> None:
    idleness = Idleness(7, clock.now, lambda pid: pid == 7 and clock.now() >= 1.0)
    assert not idleness.lasts()
    clock.sleep_until(1.0)
    assert not idleness.lasts()
    clock.sleep_until(1.001 + IDLE_SECONDS)
    assert idleness.lasts()


def test_idleness_begins_anew_after_work(clock: MadeUpClock) -> None:
    idleness = Idleness(7, clock.now, lambda _: clock.now() != 0.2)
    for moment, lasts in ((0.0, False), (0.2, False), (0.3, False), (0.5, False), (0.6, True)):
        clock.sleep_until(moment)
        assert idleness.lasts() is lasts


def test_no_master_needs_no_idleness(clock: MadeUpClock) -> None:
    assert Idleness(None, clock.now).lasts()
