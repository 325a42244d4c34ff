"""A run on its way, and what runs for it: for tests that interfere with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hatester.artifacts import cache
from hatester.artifacts.ssh_keys import find_keys
from hatester.guests import machines, qmp
from hatester.results.store import find
from hatester.util.errors import MeasurementError
from tests.factories.project import INVOKE, MARK

POLL_SECONDS = 0.05
QUICK = ("--kernel", "6.1", "--haproxy", "3.0", "--setting", "plain", "--scenario", "syntax-error")
"""A cell that takes few seconds, and in which HAProxy loses nothing."""


def newest(checkout: Path) -> dict[str, Any]:
    """Return the newest run of a checkout, read from its cells, in the form of `run.json`."""
    stored = find(checkout / "results", "latest")
    run: dict[str, Any] = json.loads(stored.run.to_json())
    return run


def machines_of_runs() -> list[int]:
    """Return the PIDs of all QEMU and Vagrant processes that any run has."""
    folders = (cache.root() / "runs").glob("*/")
    return [pid for folder in folders for pid in machines.pids(folder)]


def machines_of(checkout: Path) -> list[int]:
    """Return the PIDs of the QEMU and Vagrant processes of the runs in a copy of the project.

    Other tests have runs at the same time.
    """
    found = []
    for pid in machines_of_runs():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if psutil.Process(pid).environ().get(MARK) == str(checkout):
                found.append(pid)
    return found


def comes_through(cell: dict[str, Any]) -> bool:
    """Return whether no address was lost for the two seconds of HAProxy's retries.

    Single connections may be; where the host starves a guest, several in a row.
    """
    return not cell["error"] and all(
        each["verdict"] != "down" and each["outage_seconds"] < 1
        for reload in cell["reloads"]
        for each in reload["addresses"].values()
        if each["expected"]
    )


def awaited(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """Return the first true value of a condition; fail if there is none within some seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(POLL_SECONDS)
    return value


class Matrix:
    """`invoke matrix` in a checkout, as it runs; what it says is collected meanwhile."""

    def __init__(self, checkout: Path, *words: str, **env: str) -> None:
        self.process = subprocess.Popen(
            # A shell has what it starts in the background ignore Ctrl-C, with all below it.
            ["env", "--default-signal=INT", *INVOKE, "matrix", *words],
            cwd=checkout,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: str(checkout), "PYTHONFAULTHANDLER": "1", **env},
        )
        self.said: list[str] = []
        self.printed = ""
        self._readers = [
            threading.Thread(target=each, daemon=True) for each in (self._listen, self._collect)
        ]
        for reader in self._readers:
            reader.start()

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def _collect(self) -> None:
        assert self.process.stdout
        self.printed = self.process.stdout.read()

    def count(self, beginning: str) -> int:
        """Return how many lines of its standard error begin so, up to now."""
        return sum(line.startswith(beginning) for line in tuple(self.said))

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait_for(self, beginning: str, seconds: float = 300) -> None:
        """Wait for a line of its standard error that begins so; fail if none comes in time."""
        awaited(
            f"a line that begins with '{beginning}' after {self.said[-10:]}",
            lambda: self.count(beginning) or self.has_ended,
            seconds,
        )
        assert self.count(beginning), self.text

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 600) -> int:
        """Return its exit code, once it has ended and all of its output has been read.

        Fails if it does not end in time, with the stacks of its threads (`faulthandler`).
        """
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self._read_to_end()
            pytest.fail(f"it did not end within {seconds:.0f} s:\n{self.text}")
        self._read_to_end()
        return code

    def _read_to_end(self) -> None:
        for reader in self._readers:
            reader.join(10)

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    @property
    def folder(self) -> Path | None:
        """Where its machines are, if there are any yet."""
        return next((cache.root() / "runs").glob(f"*-{self.process.pid}/"), None)

    @property
    def qemu(self) -> list[int]:
        """The pids of its guests."""
        return [pid for pid in self._pids() if _is_qemu(pid)]

    @property
    def vagrant(self) -> list[int]:
        """The pids of what starts or ends them just now."""
        return [pid for pid in self._pids() if not _is_qemu(pid)]

    def _pids(self) -> list[int]:
        return machines.pids(folder) if (folder := self.folder) else []

    def in_guest(self, name: str, command: str) -> str:
        """Return standard output of a command in one of its guests, which the run goes on using.

        Raises MeasurementError or CalledProcessError when there is no such guest, or it fails.
        """
        folder = self.folder
        if not folder:
            raise MeasurementError("the run has no guest yet")
        port = qmp.ssh_port(folder / "machines" / name / "qemu")
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"]
        done = subprocess.run(
            ["ssh", "-n", "-i", find_keys().private, "-p", str(port), "-o", "ConnectTimeout=20",
             *(word for option in options for word in ("-o", option)), "root@127.0.0.1", command],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout

    def is_at_work(self, name: str) -> bool:
        """Return whether HAProxy has logged something in one of its guests, as during a cell."""
        with contextlib.suppress(MeasurementError, subprocess.CalledProcessError):
            self.in_guest(name, "test -s /run/hatester/haproxy.log")
            return True
        return False


def _is_qemu(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "qemu-system" in Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]
    return False


@contextlib.contextmanager
def running(checkout: Path, *words: str, **env: str) -> Iterator[Matrix]:
    """Run `invoke matrix`, which is killed if it does not end."""
    matrix = Matrix(checkout, *words, **env)
    try:
        yield matrix
    finally:
        matrix.process.kill()
        matrix.end(10)
