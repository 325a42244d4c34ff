"""HAProxy in a guest, run from the root tree of its build: its files, its log, its processes."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from provision.guest import transcript
from provision.guest.errors import GuestError
from provision.guest.libc import mount_files, mount_over, unmount
from provision.guest.network import listeners
from provision.guest.processes import disk, disk_of, pids

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
PID_FILE = "/run/haproxy.pid"
LOG = Path("/run/hatester/haproxy.log")
"""Standard output and error of all its processes."""
WORDS = Path("/run/hatester/words.json")
"""What `haproxy -v` of each tree says."""
START_SECONDS = 30.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02
_TAIL_LINES = 10

# What it says when a start or a reload has come to its end: up to 2.4 when the master forks the
# worker or falls back to waiting for the old one, later in words of its own (src/haproxy.c,
# src/mworker.c). The last words count: a reload may have overtaken another.
_WORDS = re.compile(
    r"(?P<success>Loading success\.|New worker #\d+ \(\d+\) forked)"
    r"|(?P<failure>Loading failure!|in waitpid mode|Failed to load worker)"
    # 1.8 says nothing of a success, until an old worker ends: a master that has begun anew calls it
    # a former one only if it has a new one.
    r"|(?P<former>Former worker \d+ exited)"
)
_BEGINS = re.compile(r"Reexecuting Master process$")
_FIRST_HEARD = (1, 9)
"""The first version whose workers go on to write to the log under a master (main of
src/haproxy.c)."""


def word(lines: Sequence[tuple[float, str]]) -> tuple[str, float] | None:
    """What a log says became of a reload: `success` or `failure`, and when; None for nothing.

    What the master said before it began anew is of an earlier reload.
    """
    began = next((i for i, (_, line) in enumerate(lines) if _BEGINS.search(line)), None)
    for at, line in reversed(lines[began:]):
        found = [match.lastgroup for match in _WORDS.finditer(line)]
        if found and found[-1] == "former":
            if began is not None:
                return "success", at
        elif found and found[-1]:
            return found[-1], at
    return None


def last_lines() -> str:
    """The end of the log."""
    return "\n".join(LOG.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def save_words(trees: Iterable[Path]) -> None:
    """Ask the HAProxy of each tree for its version, once for all cells: each tree is read-only."""
    said = {}
    for tree in trees:
        done = subprocess.run(
            HAProxy(tree, []).command("-v"),
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said[str(tree)] = done.stdout
    WORDS.write_text(json.dumps(said))


class HAProxy:
    """The tree of a build, with a file system of its own for files, so that nothing stays."""

    def __init__(self, tree: Path, arguments: list[str], nofile: int | None = None) -> None:
        self.tree = tree
        self.arguments = arguments
        self.nofile = nofile
        """How many files its processes may have open; None for as many as ours."""
        self._mounts: list[Path] = []

    def prepare(self, files: dict[str, str], elsewhere: dict[str, str]) -> None:
        """Lay files into /etc/haproxy of the tree, and others at their own paths.

        Raises GuestError for one in a top folder that the tree does not have.
        """
        LOG.write_bytes(b"")
        for top in sorted({path.split("/")[1] for path in elsewhere}):
            self._open(top)
        for folder in ("etc/haproxy", "run"):
            mount_files(self.tree / folder)
            self._mounts.append(self.tree / folder)
        # Newer packages' unit reads a folder of further configurations.
        self.file("conf.d").mkdir()
        (self.tree / "run/haproxy").mkdir()  # where the packages have their sockets
        laid = {self.file(name): content for name, content in files.items()}
        laid |= {self.tree / path.lstrip("/"): content for path, content in elsewhere.items()}
        for file, content in laid.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode())

    def _open(self, top: str) -> None:
        """Let files be laid into a top folder of the tree, until it is unmounted."""
        place = self.tree / top
        if not place.is_dir():
            raise GuestError(f"nothing can be laid into /{top}, which HAProxy's tree does not have")
        changes = LOG.parent / f"changes-{top}"
        shutil.rmtree(changes, ignore_errors=True)
        changes.mkdir()
        mount_over(place, changes)
        self._mounts.append(place)

    def file(self, name: str) -> Path:
        """A file of /etc/haproxy."""
        return self.tree / "etc/haproxy" / name

    def configure(self, text: str) -> None:
        (self.tree / CONFIGURATION.lstrip("/")).write_bytes(text.encode())

    @functools.cached_property
    def version(self) -> str:
        """What it says of itself. Raises GuestError when it says none."""
        said: str = json.loads(WORDS.read_text())[str(self.tree)]
        found = re.match(r"HA-?Proxy version (\S+)", said)
        if not found:
            raise GuestError(f"haproxy -v says '{said.strip()}'")
        return found[1]

    @property
    def is_heard(self) -> bool:
        """Whether its workers write to the log under a master, as far as its version tells."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        return not numbers or (int(numbers[1]), int(numbers[2])) >= _FIRST_HEARD

    def command(self, *arguments: str) -> list[str]:
        return ["chroot", str(self.tree), "/usr/sbin/haproxy", *arguments]

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process of it that writes to the log."""
        limits = ["prlimit", f"--nofile={self.nofile}"] if self.nofile else []
        files = ("-f", CONFIGURATION, "-p", PID_FILE)
        command = [*limits, *self.command(*files, *arguments, *self.arguments)]
        transcript.note(*command, tail=f">>{LOG} 2>&1 &")
        with LOG.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for_ports(self, process: subprocess.Popen[bytes], ports: list[int]) -> None:
        """Wait until all `ports` listen.

        Raises GuestError when the process that was started has failed before, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while missing := set(ports) - {port for _, port in listeners()}:
            if process.poll():
                raise GuestError(
                    f"HAProxy ended with status {process.returncode} at its start: {last_lines()}"
                )
            if time.monotonic() > deadline:
                raise GuestError(
                    f"HAProxy did not listen on {sorted(missing)} within {START_SECONDS:.0f} s: "
                    f"{last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End all its processes, and take its files away. Raises GuestError when one stays."""
        left = self.processes()
        for deadly in (signal.SIGTERM, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, deadly)
            deadline = time.monotonic() + STOP_SECONDS
            while left and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                left = self._own(left)
            # Those that they have made meanwhile are others.
            left = self.processes()
        if left:
            raise GuestError(f"HAProxy's processes {left} do not end")
        for mount in reversed(self._mounts):
            if os.path.ismount(mount):
                _unmount_soon(mount)

    def processes(self) -> list[int]:
        """The living processes that come from the tree."""
        return sorted(self._own(pids()))

    def _own(self, among: Iterable[int]) -> list[int]:
        tree = disk(str(self.tree))
        return [pid for pid in among if disk_of(pid) == tree]


def _unmount_soon(place: Path) -> None:
    """Unmount what processes had open that have just ended: the kernel closes their files last.

    Raises OSError when it stays in use.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            unmount(place)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)
