"""The agent: it runs one cell after another, each in a process that has everything loaded.

The host talks with it through two named pipes, so that it can start before its host connects. In a
guest that goes on from a saved one, it runs already.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import struct
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

from provision.guest import sequence
from provision.guest.events import Events
from provision.guest.plan import Greeting, Plan
from provision.guest.protocol import Broken, Serving, cut

_RNDADDENTROPY = 0x40085203  # include/uapi/linux/random.h
_RNDRESEEDCRNG = 0x5207
_NO_MORE = 3
"""The exit status of a process that found no further plan."""


def run(folder: Path) -> NoReturn:
    """Serve one host after another, each as long as it holds its ends of the pipes in `folder`."""
    while True:
        with (
            (folder / "requests").open(encoding="utf-8") as requests,
            (folder / "events").open("w", encoding="utf-8") as events,
        ):
            _greet(Greeting(**json.loads(requests.readline())))
            serve(requests, events, _run_seeded)


def _greet(greeting: Greeting) -> None:
    """Take over the host's time and what it has for the random numbers."""
    # Seconds of the day begin with those of the monotonic clock, whenever the host comes.
    time.clock_settime(time.CLOCK_REALTIME, int(greeting.time) + time.monotonic() % 1)
    _stir(bytes.fromhex(greeting.secret))


def _run_seeded(plan: Plan, requests: TextIO, events: TextIO) -> None:
    _stir(f"hatester {plan.seed}".encode())
    sequence.run(plan, requests, events)


def serve(
    requests: TextIO,
    events: TextIO,
    run: Callable[[Plan, TextIO, TextIO], None],
) -> None:
    """Run a plan for each line of `requests`, in a process of its own.

    The host sends a line when the one before is answered, so that no process reads another's line.
    A sequence that ends by itself without its last event gets one here, `broken`.
    """
    said = Events(events)
    said.report(Serving())
    while True:
        # It is there before its plan is.
        pid = os.fork()
        if pid == 0:
            _run_next(requests, events, run)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == _NO_MORE:
            return
        if code < 0:
            said.report(Broken(f"it was killed by {signal.Signals(-code).name}"))


def _run_next(
    requests: TextIO, events: TextIO, run: Callable[[Plan, TextIO, TextIO], None]
) -> NoReturn:
    """Run the next plan, and end this process. Blank lines are left of an earlier plan."""
    gc.disable()  # it lives shortly, and its evidence would be looked through in vain
    code = 0
    try:
        line = requests.readline()
        while line and not line.strip():
            line = requests.readline()
        if line:
            run(Plan.of(line), requests, events)
        else:
            code = _NO_MORE
    except BaseException:
        Events(events).report(Broken(cut(traceback.format_exc())))
    finally:
        # In every case: the code that follows is the agent's.
        os._exit(code)


def _stir(seed: bytes) -> None:
    """Add a seed to the kernel's random numbers (random(4))."""
    with open("/dev/urandom", "wb", buffering=0) as random:  # noqa: PTH123
        entropy = struct.pack("ii", 8 * len(seed), len(seed)) + seed
        fcntl.ioctl(random, _RNDADDENTROPY, entropy)
        fcntl.ioctl(random, _RNDRESEEDCRNG)
