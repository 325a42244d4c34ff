"""HAProxy in a guest: a master process, run from the root tree of its build."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from provision.guest.errors import GuestError
from provision.guest.network import listeners

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
LOG = Path("/run/hatester/haproxy.log")
"""Standard output and error of the master and its workers."""
START_SECONDS = 30.0
REPORT_SECONDS = 60.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01

# What the master says when a start or a reload has come to its end: up to 2.4 when it forks the
# worker or falls back to waiting for the old one, later in words of its own (src/haproxy.c,
# src/mworker.c).
_SUCCESS = re.compile(r"Loading success\.|New worker #\d+ \(\d+\) forked")
_FAILURE = re.compile(r"Loading failure!|in waitpid mode|Failed to load worker")


class HAProxy:
    """A HAProxy in master-worker mode (`-W`), as the original report ran it.

    Its files lie on a file system of their own while it runs, so that nothing of them stays.
    """

    def __init__(self, tree: Path, arguments: list[str]) -> None:
        self.tree = tree
        self.arguments = arguments
        self.master: subprocess.Popen[bytes] | None = None
        self._mounts = [tree / "etc/haproxy", tree / "run"]

    def prepare(self, files: dict[str, str]) -> None:
        """Lay the files of a scenario into /etc/haproxy of the tree."""
        LOG.write_bytes(b"")
        for mount in self._mounts:
            subprocess.run(["mount", "-t", "tmpfs", "hatester", str(mount)], check=True)
        for name, content in files.items():
            (self.tree / "etc/haproxy" / name).write_bytes(content.encode())

    def log(self, start: int = 0) -> str:
        """What it wrote, from a position on."""
        with LOG.open("rb") as log:
            log.seek(start)
            return log.read().decode("utf-8", "replace")

    def log_size(self) -> int:
        """The position up to which it has written."""
        return LOG.stat().st_size

    def wait_for_report(self, start: int) -> str:
        """What it says, from a position of its log on, that became of a start or a reload.

        Returns `success` or `failure`. Raises GuestError when it says neither in time.
        """
        deadline = time.monotonic() + REPORT_SECONDS
        while True:
            text = self.log(start)
            if _SUCCESS.search(text):
                return "success"
            if _FAILURE.search(text):
                return "failure"
            if time.monotonic() > deadline:
                raise GuestError(
                    f"HAProxy did not say within {REPORT_SECONDS:.0f} s what became of its "
                    "start or reload"
                )
            time.sleep(_POLL_SECONDS)

    def version(self) -> str:
        """What `haproxy -v` gives as its version. Raises GuestError when it gives none."""
        command = ["chroot", str(self.tree), "/usr/sbin/haproxy", "-v"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = re.match(r"HA-?Proxy version (\S+)", done.stdout)
        if not found:
            raise GuestError(f"haproxy -v says '{(done.stdout + done.stderr).strip()}'")
        return found[1]

    def configure(self, text: str) -> None:
        (self.tree / CONFIGURATION.lstrip("/")).write_bytes(text.encode())

    def start(self, ports: list[int]) -> None:
        """Start it, and wait until it listens on `ports`.

        Raises GuestError when it ends before or takes too long.
        """
        command = [
            "chroot", str(self.tree), "/usr/sbin/haproxy",
            "-W", "-f", CONFIGURATION, "-p", "/run/haproxy.pid", *self.arguments,
        ]  # fmt: skip
        with LOG.open("ab") as log:
            self.master = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        missing = set(ports)
        while missing:
            missing = set(ports) - {port for _, port in listeners()}
            if self.master.poll() is not None:
                raise GuestError(f"HAProxy ended with status {self.master.returncode} at its start")
            if time.monotonic() > deadline:
                raise GuestError(
                    f"HAProxy did not listen on {sorted(missing)} within {START_SECONDS:.0f} s"
                )
            time.sleep(_POLL_SECONDS)

    def reload(self) -> None:
        """Ask the master to reload (HAProxy's management guide, section 4: SIGUSR2)."""
        if self.master is None or self.master.poll() is not None:
            raise GuestError("HAProxy's master has ended; there is nothing to reload")
        self.master.send_signal(signal.SIGUSR2)

    def stop(self) -> None:
        """End it with all its workers, and take its files away.

        Raises GuestError when something of it stays.
        """
        for deadly in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, deadly)
            deadline = time.monotonic() + STOP_SECONDS
            while self.processes() and time.monotonic() < deadline:
                if self.master is not None:
                    self.master.poll()  # reaps it
                time.sleep(_POLL_SECONDS)
        left = self.processes()
        if left:
            raise GuestError(f"HAProxy's processes {left} do not end")
        for mount in reversed(self._mounts):
            if os.path.ismount(mount):
                subprocess.run(["umount", str(mount)], check=True)

    def processes(self) -> list[int]:
        """The living processes whose root is the tree: the master and all workers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "root").readlink() == self.tree:
                    found.append(int(process.name))
            except OSError:  # it has ended
                continue
        return found
