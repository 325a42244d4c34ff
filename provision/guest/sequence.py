"""One cell in the guest: its steps, timed by the guest's monotonic clock.

The plan comes as one line of JSON on standard input. Events go as lines of JSON to standard
output; after each check the sequence waits for a line, so that the host can look from outside
while the guest stands still.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn, TextIO

from provision.guest import network
from provision.guest.connections import connect
from provision.guest.errors import GuestError
from provision.guest.haproxy import LOG, HAProxy


def run(commands: TextIO, events: TextIO) -> None:
    """Run the plan that `commands` begins with."""
    plan = json.loads(commands.readline())
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(plan["seconds"])
    sequence = Sequence(plan, commands, events)
    try:
        sequence.run()
    except GuestError as error:
        sequence.report("failed", reason=str(error), log=LOG.read_text(errors="replace"))
    else:
        sequence.report("end", log=LOG.read_text(errors="replace"))


def _too_long(*_: object) -> NoReturn:
    raise GuestError("the sequence took too long in the guest")


class Sequence:
    """A plan on its way: HAProxy, and when and by which step it was last started or reloaded."""

    def __init__(self, plan: dict[str, Any], commands: TextIO, events: TextIO) -> None:
        self.plan = plan
        self.commands = commands
        self.events = events
        self.haproxy = HAProxy(Path(plan["tree"]), plan["arguments"])
        self.mark = time.monotonic()
        self.marked_step = self.marked_position = 0

    def run(self) -> None:
        """All steps; whatever happens, the guest is left as it was."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.haproxy.stop)
            self.haproxy.prepare(self.plan["files"])
            undo.callback(network.remove_interface)
            network.add_interface(self.plan["addresses"])
            for name, value in self.plan["sysctls"].items():
                undo.callback(network.set_sysctl, name, network.set_sysctl(name, value))
            self.report("begin", release=os.uname().release, haproxy=self.haproxy.version())
            for number, step in enumerate(self.plan["steps"], start=1):
                getattr(self, f"do_{step['verb']}")(number, step)
            self._settle()

    def do_start(self, number: int, step: dict[str, Any]) -> None:
        self.haproxy.configure(step["text"])
        self.haproxy.start(step["ports"])
        self._mark(number)
        self.report("start", step=number)

    def do_reload(self, number: int, step: dict[str, Any]) -> None:
        # A reload that meets one that is still under way would be another scenario.
        self._settle()
        self.haproxy.configure(step["text"])
        position = self.haproxy.log_size()
        self.haproxy.reload()
        self._mark(number, position)
        self.report("reload", step=number)

    def _mark(self, number: int, position: int = 0) -> None:
        self.mark = time.monotonic()
        self.marked_step, self.marked_position = number, position

    def _settle(self) -> None:
        """Wait until HAProxy has said what became of its last start or reload."""
        reported = self.haproxy.wait_for_report(self.marked_position)
        log = self.haproxy.log(self.marked_position)
        self.report("reported", step=self.marked_step, reported=reported, log=log)

    def do_remove(self, number: int, step: dict[str, Any]) -> None:
        network.ip("address", "delete", step["address"], "dev", network.INTERFACE)
        self.report("remove", step=number)

    def do_check(self, number: int, step: dict[str, Any]) -> None:
        # A point in time is what is awaited here: so long after the reload.
        time.sleep(max(0.0, self.mark + step["after"] - time.monotonic()))
        self.report("check", step=number)
        found = {}
        for target in step["targets"]:
            result = connect(target["address"], target["port"], self.plan["connection_seconds"])
            result["at"] = result.pop("started") - self.mark
            found[target["label"]] = result
        self.report("checked", step=number, connections=found)
        if not self.commands.readline():
            raise GuestError("the host has gone")

    def report(self, event: str, **fields: Any) -> None:
        """One event, with the seconds since the last start or reload."""
        line = {"event": event, "at": time.monotonic() - self.mark, **fields}
        print(json.dumps(line), file=self.events, flush=True)
