"""QEMU's monitor (QMP) of a guest: forwards further ports, and saves a guest for others.

Vagrant has no commands for these.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from hatester.matrix.binds import Bind
from hatester.util.errors import MeasurementError
from provision.guest.connections import ANY, CLOSE, NAMED, TLS

SECONDS = 20.0
NETWORK = "net"
"""The id that the provider gives the guest's user network."""
GUEST_ADDRESS = "198.19.255.15"
SSH_PORT = 65522
"""An address (RFC 2544) and a port that no configuration and no service uses."""
_POLL_SECONDS = 0.02


def execute(folder: Path, *commands: tuple[str, Mapping[str, Any]]) -> list[Any]:
    """Return the answers to QMP commands, each a name with its arguments.

    Raises MeasurementError when QEMU refuses one or does not answer.
    """
    # By a descriptor of the folder, since the path of a socket may only have 107 bytes.
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise MeasurementError(f"the machine of {folder} is gone") from error
    socket = f"/proc/self/fd/{descriptor}/qmp.sock"
    try:
        return asyncio.run(asyncio.wait_for(_execute(socket, commands), SECONDS))
    except (QMPError, OSError, asyncio.TimeoutError) as error:
        reason = str(error) or f"no answer within {SECONDS:.0f} s"
        raise MeasurementError(f"QEMU's monitor: {reason}") from error
    finally:
        os.close(descriptor)


async def _execute(socket: str, commands: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
    client = QMPClient()
    await client.connect(socket)
    try:
        return [await client.execute(name, dict(arguments)) for name, arguments in commands]
    finally:
        await client.disconnect()


def _human(folder: Path, *lines: str) -> list[str]:
    """Return the answers to lines of the human monitor, which refuses in ordinary text."""
    return execute(folder, *(("human-monitor-command", {"command-line": line}) for line in lines))


def ssh_port(folder: Path) -> int:
    """Return the port of 127.0.0.1 that leads to the guest's SSH server.

    Raises MeasurementError where there is none.
    """
    [table] = _human(folder, "info usernet")
    port = _host_port(table, GUEST_ADDRESS, SSH_PORT)
    if port is None:
        raise MeasurementError(f"QEMU forwards no port to the guest's SSH server: {table.strip()}")
    return port


def save_devices(folder: Path, file: Path) -> None:
    """Stop a guest for good, and write the state of its devices, without memory, to a file.

    The memory stays as it is in the file that backs it (`x-ignore-shared` of QEMU's migration).
    Raises MeasurementError when that fails.
    """
    execute(
        folder,
        ("stop", {}),
        ("migrate-set-capabilities",
         {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}),
        ("migrate", {"uri": f"exec:exec cat >{shlex.quote(str(file))}"}),
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while (state := execute(folder, ("query-migrate", {}))[0])["status"] != "completed":
        if state["status"] == "failed" or time.monotonic() > deadline:
            raise MeasurementError(f"QEMU cannot save the guest: {state}")
        time.sleep(_POLL_SECONDS)


def status(folder: Path) -> str:
    """Return the state of a guest, in QEMU's word (RunState of qapi/run-state.json)."""
    [answer] = execute(folder, ("query-status", {}))
    return str(answer["status"])


def resume(folder: Path) -> None:
    """Let a guest that stands still run."""
    execute(folder, ("cont", {}))


def pause(folder: Path) -> None:
    """Make a guest stand still."""
    execute(folder, ("stop", {}))


def is_accelerated(folder: Path) -> bool:
    """Return True if the guest runs under KVM."""
    [answer] = execute(folder, ("query-kvm", {}))
    return bool(answer["enabled"])


@contextlib.contextmanager
def forward_ports(folder: Path, binds: tuple[Bind, ...]) -> Iterator[Mapping[Bind, int]]:
    """Forward ports of 127.0.0.1 to addresses of the guest, while it is open.

    QEMU's user network reaches any address that the guest answers ARP for, dummy0's as well. It
    forwards no IPv6, so such an address gets no port; nor does one that cannot be asked from there.
    """
    seen = filter(_is_seen, binds)
    wanted = {bind: GUEST_ADDRESS if bind.is_wildcard else bind.address for bind in seen}
    *refusals, table = _human(
        folder,
        *(f"hostfwd_add {NETWORK} tcp:127.0.0.1:0-{to}:{bind.port}" for bind, to in wanted.items()),
        "info usernet",
    )
    listed = ((bind, _host_port(table, to, bind.port)) for bind, to in wanted.items())
    ports = {bind: port for bind, port in listed if port}
    try:
        if any(refusals):
            raise MeasurementError(f"QEMU does not forward: {' '.join(refusals).strip()}")
        yield ports
    finally:
        # A guest that has died has taken its forwarding with it.
        with contextlib.suppress(MeasurementError):
            removals = (f"hostfwd_remove {NETWORK} tcp:127.0.0.1:{p}" for p in ports.values())
            _human(folder, *removals)


def _is_seen(bind: Bind) -> bool:
    """Return True if an address can be asked from outside: by HTTP(S), without a PROXY header."""
    if bind.is_unix or bind.interface or ":" in bind.target:
        return False
    return (bind.is_wildcard or bind.can_be_missing) and bind.answer in (NAMED, ANY, CLOSE, TLS)


def _host_port(table: str, address: str, port: int) -> int | None:
    """Return the host's port in the line of `info usernet` for an address; None without one.

    TCP[HOST_FORWARD]  14  127.0.0.1 40123  192.168.42.44  80  0  0
    """
    pattern = rf"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+{re.escape(address)}\s+{port}\s"
    found = re.search(pattern, table)
    return int(found[1]) if found else None
