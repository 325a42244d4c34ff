"""One cell in the guest: its steps, timed and recorded on the guest's monotonic clock.

Events go to the host as lines of JSON. After a check, once all is observed, the host hears of it,
looks from outside, and sends a line. Else nothing passes between them: it would come at moments
that depend on the host. The last event carries the evidence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import keyword
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

from provision.guest import cleanliness, transcript
from provision.guest.cell_setup import CellSetup
from provision.guest.clock import DIGITS, ROUND_SECONDS, following, grid
from provision.guest.connections import Target
from provision.guest.errors import GuestError, HAProxyEnded
from provision.guest.events import Events
from provision.guest.haproxy import Place, log_lines
from provision.guest.observation import SETTLE_SECONDS, STEADY_SECONDS, Idleness, Observation
from provision.guest.plan import RACING, Plan, PlannedStep
from provision.guest.protocol import (
    Begin,
    CheckedConnection,
    End,
    Ended,
    Evidence,
    Failed,
    FailedStart,
    GuestCheck,
    Held,
    LogLine,
    Next,
    Reload,
    Reply,
    Tainted,
    TakenStep,
    cut,
)
from provision.guest.recorder import Recorder
from provision.guest.reload_requests import ReloadRequest
from provision.guest.scenario_commands import ask_haproxy, run_command

_LEAD_SECONDS = 0.05
"""For what a step has to prepare before its moment."""


def run(plan: Plan, commands: TextIO, events: TextIO) -> None:
    """Run a plan, unless the guest is not clean."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(plan.seconds)
    said = Events(events)
    if found := cleanliness.traces():
        said.report(Tainted(tuple(map(cut, found))))
        return
    sequence = Sequence(plan, commands, said, CellSetup.of(plan))
    try:
        sequence.run()
    except GuestError as error:
        checks = tuple(sequence.unreported_checks)
        said.report(Failed(cut(str(error)), sequence.evidence(), checks))
    else:
        said.report(End(sequence.evidence()))


def _too_long(*_: object) -> NoReturn:
    raise GuestError("the sequence took too long in the guest")


class Sequence:
    """A plan on its way. All times are seconds on the cell's clock."""

    def __init__(self, plan: Plan, commands: TextIO, events: Events, setup: CellSetup) -> None:
        self.plan = plan
        self.commands = commands
        self.events = events
        self.setup = setup
        self.clock = setup.clock
        self.method = setup.method
        self.environment = setup.environment
        self.grid = grid(plan.probe_interval)
        self.targets: list[Target] = []
        self.recorder: Recorder | None = None
        self.observation: Observation | None = None
        self.mark = 0.0
        """The time of the last start or reload."""
        self.turn = 0.0
        """The time at which it was due, or at which the last wait was over."""
        self.reload_seconds: float | None = None
        """The length of the last reload that was observed to its end, by HAProxy's report."""
        self.is_settled = False
        self.reloaded: int | None = None
        self.unreported_steps: list[TakenStep] = []
        self.unreported_checks: list[GuestCheck] = []
        """The steps and checks that were not reported yet."""
        self.steps: list[TakenStep] = []
        self.reloads: list[Reload] = []
        self.lacking: list[str] = []
        self.ended: Ended | None = None
        self.failed_starts: list[FailedStart] = []
        self.replies: list[Reply] = []
        self.is_stopped = False
        """True if a step has stopped HAProxy."""
        self.seen = Recorder.NOTHING

    def evidence(self) -> Evidence:
        """Return all that was seen so far, by a recorder that was stopped."""
        return Evidence(
            interval=self.plan.probe_interval,
            life=self.plan.connection_seconds,
            addresses=tuple(each.label for each in self.plan.destinations),
            steps=tuple(self.steps),
            reloads=tuple(self.reloads),
            lacking=tuple(self.lacking),
            ended=self.ended,
            failed_starts=tuple(self.failed_starts),
            replies=tuple(self.replies),
            **self.seen,
        )

    def run(self) -> None:
        """Run all steps; in every case the guest is left as it was."""
        haproxy = self.method.haproxy
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.events.pulse())
            undo.callback(self.method.stop)
            haproxy.prepare(self.plan.root)
            site = self.plan.site
            self.targets = [haproxy.target(each, site) for each in self.plan.destinations]
            undo.callback(self.environment.end)
            self.environment.make()
            undo.callback(self.setup.servers.end)
            self.setup.servers.start(haproxy.tree)
            self._set_sysctls()
            self.events.report(Begin(os.uname().release, haproxy.version))
            undo.callback(self._end_recording)
            self._take_all()
            if self.plan.hold:
                self._hold()
            else:
                self._observe()
                if not (self.ended or self.is_stopped or self.method.haproxy.processes()):
                    self._note_end(None, None, "HAProxy has ended")
                self._report(None)

    def _take_all(self) -> None:
        """Take one step after another, unless HAProxy ends: then that is what the cell shows."""
        for number, step in enumerate(self.plan.steps, start=1):
            try:
                self._take(number, step)
            except HAProxyEnded as error:
                self._note_end(number, step, str(error))
                return
            self.unreported_steps.append(self.steps[-1])

    def _note_end(self, number: int | None, step: PlannedStep | None, reason: str) -> None:
        """Note that HAProxy is gone; where it did not even start, what it said is in its log."""
        at = round(self.clock.now(), DIGITS)
        is_start = step is not None and step.verb == "start"
        missing = tuple(step.missing) if step else ()
        self.ended = Ended(number, at, cut(reason), is_start, missing)
        if self.recorder is None:
            log = tuple(LogLine(at, cut(line)) for line in log_lines())
            self.seen = {**self.seen, "log": log}

    def _set_sysctls(self) -> None:
        """Set those of the plan; where it is lenient, only those that the kernel takes."""
        for name, value in self.plan.sysctls.items():
            try:
                self.environment.set_sysctl(name, value)
            except GuestError:
                if not self.plan.lenient:
                    raise
                self.lacking.append(name)

    def _hold(self) -> None:
        """Leave everything as it is, unwatched, until the host says a word."""
        self._report(None)
        signal.alarm(0)
        self._end_recording()
        self.events.report(Held())
        self.commands.readline()

    def _take(self, number: int, step: PlannedStep) -> None:
        """Take a step at its moment."""
        verb = step.verb
        if verb == "wait":
            at = self.clock.now()
            self.do_wait(step)
        else:
            at = self._moment(number, step)
            if verb in ("start", "restart", "reload", "check"):
                getattr(self, f"do_{verb}")(number, step, at)
            else:
                self._sleep_until(at)
                self._change(number, step, at)
        commands = tuple(transcript.taken())
        self.steps.append(TakenStep(number, verb, step.what, round(at, DIGITS), commands))

    def _moment(self, number: int, step: PlannedStep) -> float:
        """Return when a step is due.

        That is some seconds after the last start, reload or wait, if the step says so. Otherwise it
        is the next moment of the grid once all is observed, plus the step's delay. A check, which
        changes nothing, is always delayed, like one that a person starts.
        """
        if step.after is None:
            self._observe()
            step_seconds = self.grid
            if self.unreported_checks:
                self._report(number)
                step_seconds = following(ROUND_SECONDS, 0.0, self.grid)
            ready = self.clock.now() + _LEAD_SECONDS
            return following(ready, 0.0, step_seconds) + step.delay
        if step.after != RACING:
            delay = step.delay if step.verb == "check" else 0.0
            return self.turn + float(step.after) + delay
        if self.reload_seconds is None:
            raise GuestError("HAProxy reported no reload whose length a racing step could take")
        return self.turn + self.reload_seconds * self.plan.race

    def _report(self, number: int | None) -> None:
        """Report what was done and which step is next; wait until the host has looked."""
        taken, checks = tuple(self.unreported_steps), tuple(self.unreported_checks)
        self.events.report(Next(number, taken, checks))
        self.unreported_steps, self.unreported_checks = [], []
        # How long it takes is bounded by its own time.
        left = signal.alarm(0)
        if not self.commands.readline():
            raise GuestError("the host has gone")
        signal.alarm(left)

    def do_start(self, number: int, step: PlannedStep, at: float) -> None:
        self._configure(step)
        self.clock.sleep_until(at)
        try:
            self.method.start(_places(step))
        except HAProxyEnded as error:
            if not step.may_fail:
                raise
            failed = round(self.clock.now(), DIGITS)
            self.failed_starts.append(
                FailedStart(number, failed, cut(str(error)), tuple(step.missing))
            )
        self.turn = following(self.clock.now(), 0.0, self.grid)
        self.clock.sleep_until(self.turn)
        self.recorder = self.recorder or self.setup.record(self.targets)
        self.is_settled = self.is_stopped = False
        self.mark = self.turn

    def do_restart(self, number: int, step: PlannedStep, at: float) -> None:
        self._load(number, step, at, lambda: self.method.restart(_places(step)))

    def do_reload(self, number: int, step: PlannedStep, at: float) -> None:
        self._load(number, step, at, self.method.reload)

    def _load(
        self, number: int, step: PlannedStep, at: float, ask: Callable[[], ReloadRequest]
    ) -> None:
        """Have HAProxy load a configuration, and begin to observe it."""
        assert self.recorder is not None
        self._configure(step)
        self._sleep_until(at)
        self._overtake()
        master, seconds = self.method.master(), self.plan.report_seconds
        observation = Observation(self.recorder, number, step, master, seconds)
        self.mark = observation.at
        if step.after == RACING:
            observation.gap = round(self.mark - self.turn, DIGITS)
        self.turn = at
        observation.request = ask()
        self.observation = observation
        self.reloaded = number

    def _overtake(self) -> None:
        """End the observation of a reload that the next step does not wait for."""
        if self.observation:
            self._keep(self.observation.end())

    def _change(self, number: int, step: PlannedStep, at: float) -> None:
        """Take a step that changes something, or asks."""
        method, servers, what = self.method, self.setup.servers, step.what or ""
        actions: dict[str, Callable[[], object]] = {
            "stop": self._stop,
            "second": lambda: method.haproxy.launch_second(step.text),
            "upgrade": lambda: method.upgrade(Path(step.tree)),
            "stop-server": lambda: servers.command("stop", what),
            "start-server": lambda: servers.command("start", what),
            "ask": lambda: self.replies.append(
                ask_haproxy(method, step.socket, what, number, round(at, DIGITS))
            ),
            "run": lambda: self.replies.append(
                run_command(method, what, number, round(at, DIGITS))
            ),
        }
        action = actions.get(step.verb)
        if action:
            action()
        else:
            name = f"{step.verb}_" if keyword.iskeyword(step.verb) else step.verb
            getattr(self.environment, name)(what)

    def _stop(self) -> None:
        self._overtake()
        self.method.end()
        self.is_stopped = True
        self.turn = following(self.clock.now(), 0.0, self.grid)

    def _configure(self, step: PlannedStep) -> None:
        file = self.method.haproxy.file(f"{step.what}.cfg")
        transcript.note("cp", str(file), str(file.with_name("haproxy.cfg")))
        self.method.haproxy.configure(step.text)

    def do_wait(self, step: PlannedStep) -> None:
        assert self.recorder is not None
        if step.seconds:
            self._pass_time(step.seconds)
        elif self.observation and step.what == "retrying":
            self.observation.wait_for_retries()
        elif self.observation and step.what == "reported":
            self.observation.wait_for_report()
        else:
            self._observe()
        self.turn = following(self.clock.now(), 0.0, self.grid)

    def _sleep_until(self, at: float) -> None:
        """Wait for a moment, and ask for a report meanwhile that would else get a later time."""
        if self.observation and self.observation.is_polled:
            self.observation.wait(at - self.clock.now() - _LEAD_SECONDS)
        self.clock.sleep_until(at)

    def _pass_time(self, seconds: float) -> None:
        if self.observation:
            self.observation.wait(seconds)
        else:
            self.clock.sleep_until(self.clock.now() + seconds)

    def do_check(self, number: int, step: PlannedStep, at: float) -> None:
        self._sleep_until(at)
        found = {}
        # An address that hangs comes last, so that it cannot delay the rest.
        for target in sorted([self.targets[i] for i in step.order], key=self._hangs):
            result = self.setup.connect(target, self.plan.connection_seconds)
            result["at"] = round(result.pop("started") - self.clock.origin - self.mark, DIGITS)
            found[target.label] = CheckedConnection(**result)
        self.unreported_checks.append(GuestCheck(number, self.reloaded, found))

    def _hangs(self, target: Target) -> bool:
        assert self.recorder is not None
        return self.recorder.outcome(self.targets.index(target)) == "timeout"

    def _observe(self) -> None:
        """Watch until the last start or reload has come to its end."""
        if self.observation:
            reload = self.observation.complete()
            self._keep(reload)
            if reload.reported_at is not None and reload.verb == "reload":
                self.reload_seconds = reload.reported_at - reload.at
        elif self.recorder and not self.is_settled:
            is_steady = self.recorder.is_steady
            idleness = Idleness(self.method.master(), self.clock.now)
            self.recorder.wait(
                lambda: idleness.lasts() and is_steady(STEADY_SECONDS), SETTLE_SECONDS
            )
            self.is_settled = True

    def _keep(self, reload: Reload) -> None:
        self.observation = None
        if reload.steady:
            reload = dataclasses.replace(reload, processes=self.method.show_processes())
        self.reloads.append(reload)

    def _end_recording(self) -> None:
        """Keep all that was seen, even if a step has failed."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        if self.observation:
            self._keep(self.observation.end())
        recorder.stop()
        self.seen = recorder.seen(self.method.masters, self.method.haproxy.second)


def _places(step: PlannedStep) -> list[Place]:
    return [(address, port) for address, port in step.places]
