"""A guest that is lost costs nothing but time: it is replaced, and its cell measured once more."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories.live_run import (
    POLL_SECONDS,
    QUICK,
    Matrix,
    awaited,
    comes_through,
    newest,
    running,
)

WORDS = (*QUICK, "--jobs", "1", "--probe-interval", "100ms", "--repeat", "2")


def stop(matrix: Matrix) -> None:
    """Nothing is heard of it any more, as of a QEMU that hangs."""
    for pid in matrix.qemu:
        os.kill(pid, signal.SIGSTOP)


def kill(matrix: Matrix) -> None:
    for pid in matrix.qemu:
        os.kill(pid, signal.SIGKILL)


def inside(command: str) -> Callable[[Matrix], None]:
    def inflict(matrix: Matrix) -> None:
        # In the background, since many of them take away the way by which they came.
        matrix.in_guest("6.1", f"nohup sh -c {shlex.quote(command)} >/dev/null 2>&1 &")

    return inflict


FILL = (
    "for folder in /run /; do"
    " fallocate -l $(df --output=avail -B1 $folder | tail -n 1) $folder/filling;"
    " cat /dev/zero >>$folder/filling; done"
)
FAULTS = {
    "panic": (inside("echo c >/proc/sysrq-trigger"), "QEMU has ended", 2),
    "killed": (kill, "QEMU has ended", 2),
    "stopped": (stop, "silent for", 2),
    "no network": (inside("ip link set hatester0 down"), "silent for", 2),
    "sshd killed": (inside("pkill -9 sshd"), "program ended", 2),
    "program killed": (inside("pkill -9 -f opt/hatester/gues[t]"), "program ended", 2),
    # HAProxy may come through it, but no other cell begins there.
    "full disk": (inside(FILL), "", 2),
    "clock set back": (inside("date -s '2 days ago'"), "", 1),
    "out of memory": (inside("echo 999 >/proc/self/oom_score_adj; exec tail /dev/zero"), "", 1),
}
"""Faults of a guest; the message, where the fault certainly costs the cell; and how many
guests there are then, at least."""
FEW = ["panic"]


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[] if name in FEW else pytest.mark.long) for name in FAULTS]
)
def test_a_guest_that_is_lost_is_replaced_and_its_cell_tried_once_more(
    checkout: Path, fault: str
) -> None:
    inflict, message, guests = FAULTS[fault]
    with running(checkout, *WORDS) as matrix:
        matrix.wait_for("guest 6.1: going on")
        awaited("a cell", lambda: matrix.is_at_work("6.1"), 120)
        inflict(matrix)
        assert matrix.end(600) == 0, matrix.text
    assert message in matrix.text
    assert "once more" in matrix.text or not message
    assert matrix.count("guest 6.1: going on") >= guests
    cells = newest(checkout)["cells"]
    assert len(cells) == 2
    # Of HAProxy, it says nothing.
    assert all(comes_through(cell) for cell in cells)


@pytest.mark.long
def test_a_kernel_whose_guests_are_lost_again_and_again_is_given_up_and_the_others_go_on(
    checkout: Path,
) -> None:
    with running(checkout, *WORDS[:-1], "4", "--kernel", "5.10") as matrix:
        while not matrix.has_ended:
            if matrix.is_at_work("6.1"):
                kill(matrix)
            time.sleep(POLL_SECONDS)
        assert matrix.end(60) == 3, matrix.text
    cells = newest(checkout)["cells"]
    lost = [cell["error"] for cell in cells if cell["id"].startswith("6.1/")]
    assert all(lost)
    # Two cells, each tried twice, and the rest not at all.
    assert sum("guests of this kernel were lost one after another" in each for each in lost) == 2
    others = [comes_through(cell) for cell in cells if cell["id"].startswith("5.10/")]
    assert (len(lost), others) == (4, [True] * 4)
