"""A guest that is lost costs nothing but time: it is replaced, and its cell measured once more."""

from __future__ import annotations

import contextlib
import os
import re
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


def kill_guests_of(matrix: Matrix, kernel: str) -> None:
    """Kill the guests of a kernel that measure a cell; one more than --jobs may be there."""
    name = re.compile(rf"-name\0hatester-({re.escape(kernel)}(?:-\d+)?)\0")
    for pid in matrix.qemu:
        with contextlib.suppress(OSError):
            found = name.search(Path(f"/proc/{pid}/cmdline").read_text())
            if found and matrix.is_at_work(found[1]):
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
    "panic": (inside("echo c >/proc/sysrq-trigger"), "QEMU has ended"),
    "killed": (kill, "QEMU has ended"),
    "stopped": (stop, "silent for"),
    "no network": (inside("ip link set hatester0 down"), "silent for"),
    "sshd killed": (inside("pkill -9 sshd"), "program ended"),
    "program killed": (inside("pkill -9 -f opt/hatester/gues[t]"), "program ended"),
    # HAProxy may come through it, but no other cell begins there.
    "full disk": (inside(FILL), ""),
    "clock set back": (inside("date -s '2 days ago'"), ""),
    "out of memory": (inside("echo 999 >/proc/self/oom_score_adj; exec tail /dev/zero"), ""),
}
"""Faults of a guest, and the message, where the fault certainly costs the cell."""
FEW = ["panic"]


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[] if name in FEW else pytest.mark.long) for name in FAULTS]
)
def test_a_guest_that_is_lost_is_replaced_and_its_cell_tried_once_more(
    checkout: Path, fault: str
) -> None:
    inflict, message = FAULTS[fault]
    with running(checkout, *WORDS) as matrix:
        matrix.wait_for("guest 6.1: going on")
        awaited("a cell", lambda: matrix.is_at_work("6.1"), 120)
        inflict(matrix)
        assert matrix.end(600) == 0, matrix.text
    assert message in matrix.text
    assert "once more" in matrix.text or not message
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
            kill_guests_of(matrix, "6.1")
            time.sleep(POLL_SECONDS)
        assert matrix.end(60) == 3, matrix.text
    cells = newest(checkout)["cells"]
    lost = [cell["error"] for cell in cells if cell["id"].startswith("6.1/")]
    assert all(lost)
    assert any("guests of this kernel were lost one after another" in each for each in lost)
    others = [comes_through(cell) for cell in cells if cell["id"].startswith("5.10/")]
    assert (len(lost), others) == (4, [True] * 4)
