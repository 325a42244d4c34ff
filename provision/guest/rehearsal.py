"""A cell before all others, for nothing but what it loads.

What a guest reads from its disks in its first cell would come at moments that depend on the host; a
guest that was saved after a rehearsal has it in memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from pathlib import Path
from typing import Any

from provision.guest.connections import NAMED
from provision.guest.errors import GuestError
from provision.guest.events import Events
from provision.guest.mock_servers import MockServers
from provision.guest.root import RESOLVER
from provision.guest.sequence import Sequence, Stage

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
_STEP = {"after": None, "delay": 0.0, "order": [0]}
_LOAD = {
    **_STEP, "what": "rehearsal", "text": _CONFIGURATION, "places": [[_ADDRESS, 80]],
    "present": [], "finally": [],
}  # fmt: skip


def run(trees: list[Path]) -> None:
    """Start and reload the HAProxy of each tree, with all that watches a cell."""
    for tree in trees:
        _load(tree)
        plan: dict[str, Any] = {
            "tree": str(tree), "rest": 0.0, "method": "signal", "arguments": [], "nofile": None,
            "sysctls": {}, "lenient": False,
            "interface": "dummy0", "interfaces": {"dummy0": [f"{_ADDRESS}/32"]},
            "root": {
                "files": {"/etc/haproxy/rehearsal.http": _ANSWER}, "made": {},
                "folders": [], "users": [], "groups": [], "hosts": [], "env": {},
            },
            "servers": [], "checks": {}, "site": "hatester",
            "targets": [
                {"label": "", "address": _ADDRESS, "port": 80, "interface": None, "answer": NAMED}
            ],
            "steps": [
                {"verb": "start", **_LOAD},
                {"verb": "reload", **_LOAD, "after": 0.1},
                {"verb": "wait", "what": "reported"},
            ],
            # Nothing is observed to its end.
            "probe_interval": 0.1, "connection_seconds": 5.0, "hold": True,
        }  # fmt: skip
        stage = Stage.of(plan)
        Sequence(plan, io.StringIO("\n\n"), Events(io.StringIO()), stage).run()
    with contextlib.suppress(GuestError):  # a kernel without veth plays none
        _play()


def _play() -> None:
    """Play servers, and end them."""
    checks: dict[str, Any] = {
        "protocols": {}, "scripts": {}, "expected": [], "statuses": {}, "certificate": "",
    }  # fmt: skip
    servers = MockServers([f"{RESOLVER}:53"], [], checks)
    try:
        servers.start(Path("/"))
    finally:
        servers.end()


def _load(tree: Path) -> None:
    """Read all of a tree's own files, so that nothing has to wait for them."""
    disk = tree.stat().st_dev
    for folder, names, files in os.walk(tree):
        names[:] = [name for name in names if os.lstat(f"{folder}/{name}").st_dev == disk]
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode) and path.lstat().st_dev == disk:
                path.read_bytes()
