"""One cell in the guest: its steps, timed and watched on the guest's monotonic clock.

Events go to the host as lines of JSON; after each check the sequence waits for a line, so that the
host can look from outside while the guest stands still. The last event carries the evidence.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn, TextIO

from provision.guest import network, state, transcript
from provision.guest.backends import Backends
from provision.guest.connections import Target, connect
from provision.guest.errors import GuestError
from provision.guest.events import Events
from provision.guest.haproxy import HAProxy
from provision.guest.methods import METHODS
from provision.guest.observation import (
    DIGITS,
    SETTLE_SECONDS,
    STEADY_SECONDS,
    Idleness,
    Observation,
)
from provision.guest.watch import Watch
from provision.guest.world import World


def run(plan: dict[str, Any], commands: TextIO, events: TextIO) -> None:
    """Run a plan, unless the guest is not clean."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(plan["seconds"])
    said = Events(events)
    if found := state.traces():
        said.report("tainted", traces=found)
        return
    sequence = Sequence(plan, commands, said)
    try:
        sequence.run()
    except GuestError as error:
        said.report("failed", reason=str(error), evidence=sequence.evidence)
    else:
        said.report("end", evidence=sequence.evidence)


def _too_long(*_: object) -> NoReturn:
    raise GuestError("the sequence took too long in the guest")


class Sequence:
    """A plan on its way. All times are seconds on the monotonic clock since its beginning."""

    def __init__(self, plan: dict[str, Any], commands: TextIO, events: Events) -> None:
        self.plan = plan
        self.commands = commands
        self.events = events
        self.origin = time.monotonic()
        haproxy = HAProxy(Path(plan["tree"]), plan["arguments"], plan["nofile"])
        self.method = METHODS[plan["method"]](haproxy)
        self.world = World(plan["interface"], plan["addresses"], haproxy)
        self.backends = Backends(plan["servers"])
        self.targets = [Target(**target) for target in plan["targets"]]
        self.watch: Watch | None = None
        self.observation: Observation | None = None
        self.mark = self.turn = 0.0
        self.is_settled = False
        self.reloaded: int | None = None
        self.evidence: dict[str, Any] = {"steps": [], "reloads": [], "lacking": []}

    def run(self) -> None:
        """All steps; whatever happens, the guest is left as it was."""
        haproxy = self.method.haproxy
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.events.pulse())
            undo.callback(self.method.stop)
            version = haproxy.ask_version()
            haproxy.prepare(self.plan["files"], self.plan["elsewhere"])
            undo.callback(self.world.end)
            self.world.interface.make()
            undo.callback(self.backends.end)
            self.backends.start()
            for name, value in self.plan["sysctls"].items():
                self._set_sysctl(name, value, undo)
            self.events.report("begin", release=os.uname().release, haproxy=version())
            undo.callback(self._end_watch)
            for number, step in enumerate(self.plan["steps"], start=1):
                self._take(number, step)
            if self.plan["hold"]:
                self._hold()
            else:
                self._observe()

    def _set_sysctl(self, name: str, value: str, undo: contextlib.ExitStack) -> None:
        """Set it for the cell; where the setting is lenient, only if the kernel takes it."""
        try:
            before = network.set_sysctl(name, value)
        except GuestError:
            if not self.plan["lenient"]:
                raise
            self.evidence["lacking"].append(name)
        else:
            undo.callback(network.set_sysctl, name, before)

    def _hold(self) -> None:
        """Leave everything as it is, unwatched, until the host says a word."""
        signal.alarm(0)
        self._end_watch()
        self.events.report("held")
        self.commands.readline()

    def _take(self, number: int, step: dict[str, Any]) -> None:
        """A step comes so long after the last start, reload or wait, or when all is observed."""
        verb, after = step["verb"], step.get("after")
        if after is not None:
            # A point in time is what is awaited here.
            time.sleep(max(0.0, self.origin + self.turn + after - time.monotonic()))
        elif verb != "wait":
            self._observe()
        at = time.monotonic() - self.origin
        if verb in ("start", "reload", "check", "wait"):
            getattr(self, f"do_{verb}")(number, step)
        else:
            getattr(self.world, {"break": "break_"}.get(verb, verb))(step["what"])
        taken = {
            "step": number,
            "verb": verb,
            "what": step.get("what"),
            "at": round(at, DIGITS),
            "commands": transcript.taken(),
        }
        self.evidence["steps"].append(taken)
        self.events.report("step", **taken)

    def do_start(self, _number: int, step: dict[str, Any]) -> None:
        self._configure(step)
        self.method.start(step["ports"])
        self.watch = Watch(
            self.targets,
            self.method.haproxy.tree,
            self.plan["probe_interval"],
            self.plan["connection_seconds"],
            self.origin,
        )
        self.mark = self.turn = self.watch.now()

    def do_reload(self, number: int, step: dict[str, Any]) -> None:
        assert self.watch is not None
        if self.observation:
            # This one overtakes it.
            self._keep(self.observation.end())
        self._configure(step)
        observation = Observation(
            self.watch, number, step["what"], step["present"], self.method.master()
        )
        self.mark = self.turn = observation.entry["at"]
        observation.request = self.method.reload()
        self.observation = observation
        self.reloaded = number

    def _configure(self, step: dict[str, Any]) -> None:
        file = self.method.haproxy.file(f"{step['what']}.cfg")
        transcript.note("cp", str(file), str(file.with_name("haproxy.cfg")))
        self.method.haproxy.configure(step["text"])

    def do_wait(self, _number: int, step: dict[str, Any]) -> None:
        assert self.watch is not None
        if self.observation and step["what"] == "retrying":
            self.observation.wait_for_retries()
        elif self.observation and step["what"] == "reported":
            self.observation.wait_for_report()
        else:
            self._observe()
        self.turn = self.watch.now()

    def do_check(self, number: int, step: dict[str, Any]) -> None:
        self.events.report("check", step=number)
        found = {}
        # What hangs comes last, so that it cannot delay the rest.
        for target in sorted(self.targets, key=self._hangs):
            result = connect(target, self.plan["connection_seconds"])
            result["at"] = round(result.pop("started") - self.origin - self.mark, DIGITS)
            found[target.label] = result
        self.events.report("checked", step=number, reload=self.reloaded, connections=found)
        if not self.commands.readline():
            raise GuestError("the host has gone")

    def _hangs(self, target: Target) -> bool:
        assert self.watch is not None
        return self.watch.outcome(self.targets.index(target)) == "timeout"

    def _observe(self) -> None:
        """Watch until the last start or reload has come to its end."""
        if self.observation:
            self._keep(self.observation.complete())
        elif self.watch and not self.is_settled:
            watch, idleness = self.watch, Idleness(self.method.master(), self.watch.now)
            watch.wait(lambda: idleness.lasts() and watch.is_steady(STEADY_SECONDS), SETTLE_SECONDS)
            self.is_settled = True

    def _keep(self, reload: dict[str, Any]) -> None:
        self.evidence["reloads"].append(reload)
        self.observation = None
        if reload["steady"]:
            reload["processes"] = self.method.show_processes()

    def _end_watch(self) -> None:
        """Take what was seen to the evidence, even if a step has failed."""
        watch, self.watch = self.watch, None
        if watch is None:
            return
        if self.observation:
            self._keep(self.observation.end())
        watch.stop()
        master = self.method.master()
        for process in watch.listeners["processes"]:
            if process["kind"] == "haproxy":
                process["kind"] = "master" if process["pid"] == master else "worker"
        self.evidence |= {
            "interval": self.plan["probe_interval"],
            "life": self.plan["connection_seconds"],
            "addresses": [target.label for target in self.targets],
            "log": watch.log,
            **watch.probes,
            **watch.listeners,
        }
