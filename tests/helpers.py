"""The command line, a copy of the project to use it in, and what became of a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from hatester.util.paths import PROJECT

LOOPBACK = "0100007F"
"""127.0.0.1, as the kernel has it."""


def invoke(
    *words: str, folder: Path = PROJECT, seconds: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """`invoke` with what it prints, in the project or a copy of it."""
    return subprocess.run(
        ["invoke", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=seconds,
        env={**os.environ, **env},
    )


def copy_project(folder: Path) -> Path:
    """The project's files without what it made in its folder: no results, no machines."""
    made = shutil.ignore_patterns(".*", "__pycache__")

    def ignored(parent: str, names: list[str]) -> set[str]:
        # There is a package of that name as well.
        return made(parent, names) | ({"results"} if Path(parent) == PROJECT else set())

    return Path(shutil.copytree(PROJECT, folder, ignore=ignored))


def listening_addresses(pid: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, on which a process listens for TCP."""
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
    """Whether a process lives: one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    """Whether a process that was told to end does so within some seconds."""
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)
