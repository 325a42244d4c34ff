"""The processes of this host: whether one runs, and the addresses at which it listens."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

LOOPBACK = "0100007F"
"""127.0.0.1, as the kernel has it."""


def listening_addresses(pid: int) -> set[str]:
    """Return the addresses, in the kernel's hexadecimal, on which a process listens for TCP."""
    links = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed in between
            links.add(os.readlink(path))  # noqa: PTH115
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.add(fields[1].partition(":")[0])
    return found


def is_running(pid: int) -> bool:
    """Return whether a process lives; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    """Return whether a process that was signalled ends within ten seconds."""
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)
