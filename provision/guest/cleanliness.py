"""The check that a guest is clean: nothing is left of an earlier cell."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.guest.kernel import disk, disk_of, listening_places, pids, program

State = Mapping[str, Sequence[str]]
"""By kind, such as `mount`, all that there is."""
BASELINE = Path("/run/hatester/baseline.json")
_SYSCTL_BYTES = 1024
_SYSCTLS = ("net/core", "net/ipv4", "net/ipv6")
_MADE = "tcp_fastopen_key"
"""Linux generates it when a socket first needs it (ip-sysctl.rst); nothing else depends on it."""
_FILLED = ("/", "/run", "/dev/shm")
_LEAST_BYTES = 32 * 2**20
"""The free space that a cell needs."""


def save() -> None:
    """Save how the guest is now, before all cells."""
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_text(json.dumps(read_state()))


def traces() -> list[str]:
    """Return the changes in the guest since it was saved; none in a clean one."""
    return differences(json.loads(BASELINE.read_text()), read_state())


def differences(before: State, now: State) -> list[str]:
    """Return what is there and was not, or was and is not, as often as it is."""
    found = []
    for kind in before:
        was, is_ = Counter(before[kind]), Counter(now[kind])
        found += [f"{kind} gone: {item}" for item in sorted((was - is_).elements())]
        found += [f"{kind} left: {item}" for item in sorted((is_ - was).elements())]
    return found


def read_state() -> State:
    """Return all that a cell could change and leave so."""
    return {
        "process": _foreign_processes(),
        "interface": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "listener": sorted(f"{address}:{port}" for address, port in listening_places()),
        "mount": Path("/proc/mounts").read_text().splitlines(),
        "sysctl": _sysctls(),
        "full disk": [path for path in _FILLED if _free(path) < _LEAST_BYTES],
    }


def _foreign_processes() -> list[str]:
    """Return the programs of processes that come from a build's disk and not from the guest's."""
    ours = (None, disk("/"))
    return sorted(program(pid) for pid in pids() if disk_of(pid) not in ours)


def _free(path: str) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _sysctls() -> list[str]:
    found = []
    for top in _SYSCTLS:
        for folder, _, names in os.walk(f"/proc/sys/{top}"):
            for name in names:
                if name == _MADE:
                    continue
                path = f"{folder}/{name}"
                with contextlib.suppress(OSError):  # a sysctl that is only written
                    found.append(f"{path[10:]} = {_content(path)}")
    return found


def _content(path: str) -> str:
    """Return a sysctl's value. There are hundreds, and a file object takes five times as long."""
    file = os.open(path, os.O_RDONLY)
    try:
        # The kernel makes room for as much as is asked for, each time (proc_sys_call_handler).
        return os.read(file, _SYSCTL_BYTES).decode().strip()
    finally:
        os.close(file)
