"""QEMU's monitor (QMP) of a guest, for what Vagrant has no word for: forwarding more ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from hatester.configurations import Bind
from hatester.errors import MeasurementError

SECONDS = 20.0
NETWORK = "net"
"""The id that the provider gives the guest's user network."""
GUEST_ADDRESS = "10.0.2.15"


def execute(folder: Path, command: str, **arguments: Any) -> Any:
    """One QMP command. Raises MeasurementError when QEMU refuses it or does not answer."""
    # By a descriptor of the folder, since the path of a socket may only have 107 bytes.
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    socket = f"/proc/self/fd/{descriptor}/qmp.sock"
    try:
        return asyncio.run(asyncio.wait_for(_execute(socket, command, arguments), SECONDS))
    except (QMPError, OSError, asyncio.TimeoutError) as error:
        reason = str(error) or f"no answer within {SECONDS:.0f} s"
        raise MeasurementError(f"QEMU's monitor, asked for {command}: {reason}") from error
    finally:
        os.close(descriptor)


async def _execute(socket: str, command: str, arguments: Mapping[str, Any]) -> Any:
    client = QMPClient()
    await client.connect(socket)
    try:
        return await client.execute(command, dict(arguments))
    finally:
        await client.disconnect()


def _human(folder: Path, line: str) -> str:
    said: str = execute(folder, "human-monitor-command", **{"command-line": line})
    return said.strip()


def is_accelerated(folder: Path) -> bool:
    """Whether the guest runs under KVM."""
    return bool(execute(folder, "query-kvm")["enabled"])


@contextlib.contextmanager
def forwarded(folder: Path, binds: tuple[Bind, ...]) -> Iterator[Mapping[Bind, int]]:
    """Ports of 127.0.0.1 that lead to addresses of the guest, for as long as it lasts.

    QEMU's user network reaches any address that the guest answers ARP for, dummy0's as well. It
    forwards no IPv6, so such an address gets no port.
    """
    reachable = {bind: _destination(bind) for bind in binds if ":" not in bind.target}
    ports: dict[Bind, int] = {}
    try:
        for bind, address in reachable.items():
            said = _human(folder, f"hostfwd_add {NETWORK} tcp:127.0.0.1:0-{address}:{bind.port}")
            if said:
                raise MeasurementError(f"QEMU does not forward to {bind.label}: {said}")
            ports[bind] = _host_port(_human(folder, "info usernet"), address, bind.port)
        yield ports
    finally:
        # A guest that has died has taken its forwarding with it.
        with contextlib.suppress(MeasurementError):
            for port in ports.values():
                _human(folder, f"hostfwd_remove {NETWORK} tcp:127.0.0.1:{port}")


def _destination(bind: Bind) -> str:
    return GUEST_ADDRESS if bind.is_wildcard else bind.address


def _host_port(table: str, address: str, port: int) -> int:
    """The host's side of a line of `info usernet`:

    TCP[HOST_FORWARD]  14  127.0.0.1 40123  192.168.42.44  80  0  0
    """
    pattern = rf"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+{re.escape(address)}\s+{port}\s"
    found = re.search(pattern, table)
    if not found:
        raise MeasurementError(f"QEMU lists no port that leads to {address}:{port}")
    return int(found[1])
