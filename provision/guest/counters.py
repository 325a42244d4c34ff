"""The kernel's own counts of what it did to connections."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPMigrateReqSuccess",
    "TcpExt.TCPMigrateReqFailure",
    "TcpExt.TCPAbortOnClose",
    "Tcp.OutRsts",
    "Tcp.EstabResets",
    "Tcp.AttemptFails",
)
"""Those of /proc/net/snmp and /proc/net/netstat (proc_pid_net(5), net/ipv4/proc.c) that tell of
lost connections. An older kernel lacks some."""


def read() -> dict[str, int]:
    """How far each of COUNTERS that this kernel has is."""
    found = {}
    for file in ("snmp", "netstat"):
        lines = Path("/proc/net", file).read_text().splitlines()
        # Names and values are two lines, which begin alike: `Tcp:`, `TcpExt:`.
        for names, values in zip(lines[::2], lines[1::2]):
            group, *keys = names.split()
            for key, value in zip(keys, values.split()[1:]):
                found[f"{group[:-1]}.{key}"] = int(value)
    return {name: found[name] for name in COUNTERS if name in found}


def growth(before: dict[str, int]) -> dict[str, int]:
    """How much each has grown since it was read."""
    return {name: count - before[name] for name, count in read().items()}
