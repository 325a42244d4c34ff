"""A cell before all others, for nothing but what it loads.

In its first cell, a guest would read its disks at moments that depend on the host. A guest that was
saved after a rehearsal has that data in memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from dataclasses import replace
from pathlib import Path

from provision.guest.cell_setup import CellSetup
from provision.guest.connections import NAMED
from provision.guest.errors import GuestError
from provision.guest.events import Events
from provision.guest.haproxy_root import RESOLVER
from provision.guest.mock_servers import MockServers
from provision.guest.packet_filter import PacketFilter
from provision.guest.plan import (
    REPORT_SECONDS,
    Destination,
    Plan,
    PlannedStep,
    RootContent,
    ServerAnswers,
)
from provision.guest.sequence import Sequence

_ADDRESS = "192.168.42.43"
_CONFIGURATION = f"""
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    errorfile 503 /etc/haproxy/rehearsal.http
listen rehearsal
    bind {_ADDRESS}:80
"""
_ANSWER = "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nOK - rehearsal\n"
_LOAD = PlannedStep(
    "start", None, order=[0], what="rehearsal", text=_CONFIGURATION, places=[(_ADDRESS, 80)]
)
_ROOT = RootContent(
    files={"/etc/haproxy/rehearsal.http": _ANSWER},
    made={}, folders=[], users=[], groups=[], hosts=[], env={},
)  # fmt: skip
_NO_ANSWERS = ServerAnswers({}, {}, [], {}, "")


def run(trees: list[Path]) -> None:
    """Start and reload the HAProxy of each tree, with all that watches a cell."""
    for tree in trees:
        _load(tree)
        plan = _plan(tree)
        Sequence(plan, io.StringIO("\n\n"), Events(io.StringIO()), CellSetup.of(plan)).run()
    with contextlib.suppress(GuestError):  # a kernel without veth plays none
        _play()
    with contextlib.suppress(GuestError):  # a kernel without nftables drops none
        _filter()


def _plan(tree: Path) -> Plan:
    """Return a cell in which nothing is observed to its end."""
    return Plan(
        seed=0, race=0.0, rest=0.0, tree=str(tree), method="signal", arguments=[],
        takeover=[], report_seconds=REPORT_SECONDS, sysctls={}, lenient=False,
        nofile=None, unit={}, interface="dummy0",
        interfaces={"dummy0": [f"{_ADDRESS}/32"]},
        root=_ROOT, servers=[], answers=_NO_ANSWERS, site="hatester",
        destinations=[Destination("", _ADDRESS, 80, None, NAMED)],
        steps=[
            _LOAD,
            replace(_LOAD, verb="reload", after=0.1),
            PlannedStep("wait", None, what="reported"),
        ],
        probe_interval=0.1, connection_seconds=5.0, seconds=0, hold=True,
    )  # fmt: skip


def _play() -> None:
    """Play servers, and end them."""
    servers = MockServers([f"{RESOLVER}:53"], [], _NO_ANSWERS)
    try:
        servers.start(Path("/"))
    finally:
        servers.end()


def _filter() -> None:
    """Have packets filtered, none of which is dropped."""
    packets = PacketFilter()
    try:
        packets.make()
    finally:
        packets.end()


def _load(tree: Path) -> None:
    """Read all of a tree's own files, so that nothing has to wait for them."""
    disk = tree.stat().st_dev
    for folder, names, files in os.walk(tree):
        names[:] = [name for name in names if os.lstat(f"{folder}/{name}").st_dev == disk]
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode) and path.lstat().st_dev == disk:
                path.read_bytes()
