"""What one cell could leave behind for the next, compared with how the guest was before all."""

from __future__ import annotations

import json
from pathlib import Path

from provision.guest.network import listeners

BASELINE = Path("/run/hatester/baseline.json")
_SYSCTLS = ("net/core", "net/ipv4", "net/ipv6")


def save() -> None:
    """Remember how the guest is now."""
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_text(json.dumps(_state()))


def traces() -> list[str]:
    """What is there and was not, or was and is not: empty in a clean guest."""
    before, now = json.loads(BASELINE.read_text()), _state()
    return [
        f"{kind} {'left' if item in now[kind] else 'gone'}: {item}"
        for kind in before
        for item in sorted(set(before[kind]) ^ set(now[kind]))
    ]


def _state() -> dict[str, list[str]]:
    return {
        "process": _foreign_processes(),
        "interface": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "listener": sorted(f"{address}:{port}" for address, port in listeners()),
        "mount": Path("/proc/mounts").read_text().splitlines(),
        "sysctl": _sysctls(),
    }


def _foreign_processes() -> list[str]:
    """Processes with a root of their own, as a build's have."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            root = str((process / "root").readlink())
            if root != "/":
                found.append(f"{(process / 'comm').read_text().strip()} in {root}")
        except OSError:  # it has ended, or is a thread of the kernel
            continue
    return sorted(found)


def _sysctls() -> list[str]:
    found = []
    for folder in _SYSCTLS:
        for path in sorted(Path("/proc/sys", folder).rglob("*")):
            try:
                found.append(f"{path.relative_to('/proc/sys')} = {path.read_text().strip()}")
            except OSError:  # a folder, or a sysctl that is only written
                continue
    return found
