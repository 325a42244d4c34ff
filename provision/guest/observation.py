"""The observation of one reload: what HAProxy reports, and how long it is watched on."""

from __future__ import annotations

import re
from collections.abc import Callable

from provision.guest.clock import DIGITS
from provision.guest.haproxy import Report, word
from provision.guest.kernel import counter_growth, is_asleep, read_counters
from provision.guest.plan import REPORT_SECONDS, PlannedStep
from provision.guest.protocol import Reload, cut
from provision.guest.recorder import View
from provision.guest.reload_requests import ReloadRequest

SILENT_SECONDS = 2.0
"""The addresses are watched so long after HAProxy's last message: silent failures show then."""
STEADY_SECONDS = 1.0
"""Every address has to answer, or to fail, in one way for so long."""
SETTLE_SECONDS = 20.0
"""The most time for the addresses to become steady after HAProxy's report."""
IDLE_SECONDS = 0.275
"""The master has to be seen asleep for so long before the next reload."""
UNANSWERED_SECONDS = 0.5
"""No address answers for so long while HAProxy retries to bind."""
_PAUSE = re.compile(r"\bPaus(?:ing|ed) (?:frontend|proxy|listener)")  # src/proxy.c: pause_proxy


class Idleness:
    """The idleness of a master; without a master it always lasts.

    A master that is still busy after a start or a reload misses the next one: the signal is lost
    (3.0 logs `Loading success` before it handles signals).
    """

    def __init__(
        self,
        master: int | None,
        now: Callable[[], float],
        is_asleep: Callable[[int], bool] = is_asleep,
    ) -> None:
        self._master = master
        self._now = now
        self._is_asleep = is_asleep
        self._since: float | None = None

    def lasts(self) -> bool:
        if self._master is None:
            return True
        now = self._now()
        if not self._is_asleep(self._master):
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= IDLE_SECONDS


class Observation:
    """One reload, or restart, from the moment before it is asked for.

    HAProxy's report is awaited for `report_seconds`.
    """

    def __init__(
        self,
        view: View,
        number: int,
        step: PlannedStep,
        master: int | None,
        report_seconds: float = REPORT_SECONDS,
    ) -> None:
        self.view = view
        self._report_seconds = report_seconds
        self._idleness = Idleness(master, view.now)
        self.request: ReloadRequest | None = None
        self._line = len(view.log)
        self._counters = read_counters()
        self.number = number
        self.step = step
        self.at = round(view.now(), DIGITS)
        self.gap: float | None = None
        """Seconds since the reload before, where it races with that."""
        self.report: Report | None = None
        """HAProxy's report, `success` or `failure`, and when it came."""

    def has_report(self) -> bool:
        """Return whether HAProxy has reported how the reload ended."""
        assert self.request is not None
        view = self.view
        said = self.request.reported(view.log[self._line :], round(view.now(), DIGITS))
        self.report = said or self.report
        return said is not None

    def _is_quiet(self) -> bool:
        """Return whether HAProxy is silent, its master idle, and the addresses steady."""
        self.has_report()
        last = max(self.report[1] if self.report else 0.0, self.view.spoke)
        return (
            self._idleness.lasts()
            and self.view.now() - last >= SILENT_SECONDS
            and self.view.is_steady(STEADY_SECONDS)
        )

    def is_retrying(self) -> bool:
        """Return whether HAProxy retries to bind, or has reported already.

        For each retry the old worker pauses its listeners. If the old process has no log, silent
        addresses show the same, with less certainty.
        """
        assert self.request is not None
        if self.request.is_heard:
            is_paused = any(_PAUSE.search(line) for _, line in self.view.log[self._line :])
        else:
            is_paused = self.view.unanswered() >= UNANSWERED_SECONDS
        return is_paused or self.has_report()

    def wait_for_retries(self) -> None:
        self.view.wait(self.is_retrying, self._report_seconds)

    def wait_for_report(self) -> None:
        """Wait until HAProxy has reported; a missing report is a result as well."""
        self.view.wait(self.has_report, self._report_seconds)

    @property
    def is_polled(self) -> bool:
        """True if its report has no other time than that of asking for it."""
        return self.request is not None and self.request.is_polled

    def wait(self, seconds: float) -> None:
        """Wait for so long; a report that comes meanwhile gets its time."""

        def look() -> bool:
            self.has_report()
            return False

        self.view.wait(look, seconds)

    def complete(self) -> Reload:
        """Watch to the end; return the record of the reload."""
        self.wait_for_report()
        return self.end(is_steady=self.view.wait(self._is_quiet, SETTLE_SECONDS))

    def end(self, is_steady: bool = False) -> Reload:
        """Return the record of the reload, without watching on."""
        assert self.request is not None
        self.has_report()
        # Where nobody took the request, HAProxy has not reported anything.
        report = None if self.request.refusal else self.report
        reported, reported_at = report or (None, None)
        logged, _ = word(self.view.log[self._line :]) or (None, None)
        return Reload(
            step=self.number,
            config=self.step.what or "",
            present=tuple(self.step.present),
            in_the_end=tuple(self.step.in_the_end),
            gap=self.gap,
            at=self.at,
            until=round(self.view.now(), DIGITS),
            reported=reported,
            reported_at=reported_at,
            steady=is_steady,
            exit_code=self.request.exit_code,
            answer=None if self.request.answer is None else cut(self.request.answer),
            processes=None,
            counters=counter_growth(self._counters),
            verb="restart" if self.step.verb == "restart" else "reload",
            refusal=self.request.refusal,
            logged=logged if logged != reported else None,
        )
