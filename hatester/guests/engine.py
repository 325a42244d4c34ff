"""The engine of guests: QEMU's accelerator, the clock, and the number of processors."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatester.guests import host
from hatester.util.errors import UserError
from hatester.util.versions import is_older

CLOCKS = ("auto", "virtual", "real")
"""The clocks of guests: `virtual` follows the instructions that a guest executes, `real` the host's
time. `auto` is virtual where guests are emulated."""
_CPUS = 2
"""Of a guest."""
_FAIR_QEMU = "8.1"
"""The first that shares a virtual clock out to several processors; before that, one that waits for
another uses up the time of all (QEMU's commit 83ecdb18eb65)."""


@dataclass(frozen=True)
class Engine:
    """`accelerator` is kvm or tcg, `clock` virtual or real; `cpus` are each guest's."""

    accelerator: str
    clock: str
    cpus: int

    @property
    def is_virtual(self) -> bool:
        return self.clock == "virtual"


def choose(clock: str = "auto") -> Engine:
    """Return the engine for one of CLOCKS on this host. A virtual clock is always emulated.

    Raises UserError where HATESTER_ACCEL names no accelerator.
    """
    accelerator = host.accelerator()
    if clock == "auto":
        clock = "virtual" if accelerator == "tcg" else "real"
    if clock == "virtual":
        return Engine("tcg", clock, virtual_cpus(host.qemu_version()))
    return Engine(accelerator, clock, _CPUS)


def virtual_cpus(qemu: str) -> int:
    """Return how many processors a guest has on the virtual clock of a QEMU, by its `--version`."""
    found = re.search(r"version (\d+(?:\.\d+)*)", qemu)
    return _CPUS if found and not is_older(found[1], _FAIR_QEMU) else 1


def finding() -> host.Finding:
    """Return the clock of guests on this host, with its cost."""
    try:
        chosen = choose()
    except UserError as error:
        return host.Finding("clock", False, str(error).rstrip("."))
    if not chosen.is_virtual:
        return host.Finding("clock", True, "real: guests live on the host's time")
    cost = "two processors each"
    if chosen.cpus == 1:
        cost = (
            "one processor each, on which HAProxy starts one thread (the setting `threads`: four);"
            f" two need QEMU {_FAIR_QEMU} or later"
        )
    text = f"virtual: what the host does meanwhile changes no result; {cost}"
    return host.Finding("clock", True, text)
