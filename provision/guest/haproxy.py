"""HAProxy in a guest, run from the root tree of its build: its log and its processes."""

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
from typing import Literal

from provision.guest import haproxy_root, transcript
from provision.guest.connections import ABSTRACT, UNPADDED, Target, request
from provision.guest.errors import GuestError, HAProxyEnded
from provision.guest.kernel import (
    bind,
    disk_of,
    disks_of_build,
    holders,
    listening_places,
    listening_sockets,
    mount,
    mount_over,
    pids,
    unix_sockets,
    unmount,
)
from provision.guest.plan import Destination, RootContent

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
PID_FILE = "/run/haproxy.pid"
LOG = Path("/run/hatester/haproxy.log")
"""Standard output and error of all its processes."""
WORDS = Path("/run/hatester/words.json")
"""The output of `haproxy -v` of each tree, by the tree's path."""
_SECOND_LOG = Path("/run/hatester/second.log")
_REPLACED = ("usr", "etc/ld.so.cache")
"""The parts of a tree that an upgrade replaces: programs, libraries, and where these are."""
_SHORT = Path("/run/hatester/root")
"""A link to the root that HAProxy has now."""
_PATH_BYTES = 108  # of sun_path (unix(7))
START_SECONDS = 30.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02
_TAIL_LINES = 10

# Its messages at the end of a start or a reload: up to 2.4 when the master forks the
# worker or falls back to waiting for the old one, later in words of its own (src/haproxy.c,
# src/mworker.c). The last words count: a reload may have overtaken another.
_WORDS = re.compile(
    r"(?P<success>Loading success\.|New worker #\d+ \(\d+\) forked)"
    r"|(?P<failure>Loading failure!|in waitpid mode|Failed to load worker)"
    # 1.8 says nothing of a success, until an old worker ends: a master that has begun anew calls it
    # a former one only if it has a new one.
    r"|(?P<former>Former worker \d+ exited)"
)
_OWN = re.compile(r"\[(?:NOTICE|WARNING|ALERT|DIAG)\]")
_ALERT = re.compile(r"\[ALERT\]\s+(?:\S+\s+)?\(\d+\) : (?P<text>.+)")
_BEGINS = re.compile(r"Reexecuting Master process$")
_FIRST_HEARD = (1, 9)
"""The first version whose workers go on to write to the log under a master (main of
src/haproxy.c)."""


def is_own(line: str) -> bool:
    """Return whether a line is a message of HAProxy itself and not its log of clients.

    The levels are those of `print_message()` in src/errors.c.
    """
    return _OWN.match(line) is not None


Report = tuple[Literal["success", "failure"], float]
"""`success` or `failure`, and when HAProxy said so."""


def word(lines: Sequence[tuple[float, str]]) -> Report | None:
    """Return how a reload ended by the log, `success` or `failure`, and when; or None.

    Messages of the master from before it executed itself again belong to an earlier reload.
    """
    lines = [(at, line) for at, line in lines if is_own(line)]
    began = next((i for i, (_, line) in enumerate(lines) if _BEGINS.search(line)), None)
    for at, line in reversed(lines[began:]):
        found = [match.lastgroup for match in _WORDS.finditer(line)]
        if found and found[-1] == "former":
            if began is not None:
                return "success", at
        elif found and found[-1]:
            return ("success" if found[-1] == "success" else "failure"), at
    return None


def log_lines() -> list[str]:
    """Return the log so far."""
    return LOG.read_text(errors="replace").splitlines()


def last_lines() -> str:
    """Return the end of the log."""
    return "\n".join(log_lines()[-_TAIL_LINES:])


def first_alert() -> str:
    """Return HAProxy's first alert, without time and process; without one, its last lines."""
    for line in log_lines():
        if found := _ALERT.match(line):
            return found["text"]
    return last_lines()


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


Place = tuple[str, int]
"""An address, as the kernel has it, and a port; or the name of a UNIX socket, and 0."""


class HAProxy:
    """The tree of a build, with changes of its own laid over it, so that nothing stays."""

    def __init__(self, tree: Path, arguments: list[str], nofile: int | None = None) -> None:
        self.tree = tree
        self.arguments = arguments
        self.nofile = nofile
        """The limit of open files of its processes; None for our own limit."""
        self.unit: dict[str, str] = {}
        """Settings of [Service] that its unit has in addition."""
        self.env: dict[str, str] = {}
        """Its environment, in addition to ours."""
        self.second: int | None = None
        """The PID of a second HAProxy, which has nothing to do with the first."""
        self._mounts: list[Path] = []

    def prepare(self, content: RootContent) -> list[str]:
        """Mount a writable view of the tree, and put content into it.

        Returns the paths of what was made, since the tree lacked it. Raises GuestError where the
        kernel has no overlayfs.
        """
        LOG.write_bytes(b"")
        self._mount()
        _SHORT.unlink(missing_ok=True)
        _SHORT.symlink_to(self.tree)
        self.env = dict(content.env)
        return haproxy_root.furnish(self.tree, content)

    def _mount(self) -> None:
        changes = LOG.parent / "changes"
        shutil.rmtree(changes, ignore_errors=True)
        changes.mkdir()
        try:
            mount_over(self.tree, changes)
        except OSError as error:
            raise GuestError(
                f"HAProxy's root cannot be made writable, which takes overlayfs: {error.strerror}"
            ) from error
        self._mounts.append(self.tree)
        for kind, name in (("proc", "proc"), ("sysfs", "sys")):
            mount(kind, self.tree / name)
            self._mounts.append(self.tree / name)
        bind(Path("/dev"), self.tree / "dev")
        self._mounts.append(self.tree / "dev")
        # A mount of its own; systemd would cover it (MountAPIVFS= of systemd.exec(5)).
        run = self.tree / "run"
        run.mkdir(exist_ok=True)
        bind(run, run)
        self._mounts.append(run)

    def target(self, where: Destination, site: str) -> Target:
        """Return where a destination of a plan is reached, and how it is asked for a site.

        A UNIX socket has its path outside of the root, which is short enough for connect(2).
        """
        address, answer = where.address, where.answer
        if address.startswith("/"):
            address = str(_SHORT / haproxy_root.place_of(self.tree, address).relative_to(self.tree))
        elif address.startswith(ABSTRACT):
            # src/proto_uxst.c binds the whole of sun_path.
            address = f"\0{address[len(ABSTRACT) :]}".ljust(_PATH_BYTES, "\0")
        elif address.startswith(UNPADDED):
            address = f"\0{address[len(UNPADDED) :]}"
        asked = request(answer, site)
        return Target(where.label, address, where.port, where.interface, answer, asked)

    def file(self, name: str) -> Path:
        """Return the path of a file of /etc/haproxy."""
        return self.tree / "etc/haproxy" / name

    def configure(self, text: str) -> None:
        (self.tree / CONFIGURATION.lstrip("/")).write_bytes(text.encode())

    @functools.cached_property
    def version(self) -> str:
        """Its version as `haproxy -v` prints it. Raises GuestError when there is none."""
        said: str = json.loads(WORDS.read_text())[str(self.tree)]
        found = re.match(r"HA-?Proxy version (\S+)", said)
        if not found:
            raise GuestError(f"haproxy -v says '{said.strip()}'")
        return found[1]

    @property
    def is_heard(self) -> bool:
        """True if its workers write to the log under a master, by its version."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        return not numbers or (int(numbers[1]), int(numbers[2])) >= _FIRST_HEARD

    def command(self, *arguments: str) -> list[str]:
        return ["chroot", str(self.tree), "/usr/sbin/haproxy", *arguments]

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process of it that writes to the log."""
        limits = ["prlimit", f"--nofile={self.nofile}"] if self.nofile else []
        files = ("-f", CONFIGURATION, "-p", PID_FILE)
        command = [*limits, *self.command(*files, *arguments, *self.arguments)]
        settings = [f"{name}={value}" for name, value in self.env.items()]
        transcript.note(*(["env", *settings] if settings else []), *command, tail=f">>{LOG} 2>&1 &")
        with LOG.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.env},
            )

    @staticmethod
    def missing(places: Iterable[Place]) -> set[Place]:
        """Return the places at which nobody listens."""
        return {*places} - listening_places() - {(name, 0) for name, _ in unix_sockets()}

    def wait_until_up(self, process: subprocess.Popen[bytes], places: Iterable[Place]) -> None:
        """Wait until it listens at all places, also at those whose address is missing.

        Raises HAProxyEnded when the process that was started has failed before, and GuestError when
        it takes too long.
        """
        wanted = {*places}
        deadline = time.monotonic() + START_SECONDS
        while missing := self.missing(wanted):
            if process.poll():
                raise HAProxyEnded(
                    f"HAProxy ended with status {process.returncode} at its start: {last_lines()}"
                )
            if time.monotonic() > deadline:
                raise GuestError(
                    f"HAProxy did not listen at {missing} within {START_SECONDS:.0f} s: "
                    f"{last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def launch_second(self, text: str) -> None:
        """Start a second HAProxy with a configuration, and wait until it listens.

        Raises GuestError when it does not.
        """
        file = self.file("second.cfg")
        file.write_bytes(text.encode())
        command = self.command("-db", "-f", f"/{file.relative_to(self.tree)}")
        transcript.note(*command, tail="&")
        with _SECOND_LOG.open("wb") as log:
            second = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.second = second.pid
        deadline = time.monotonic() + START_SECONDS
        while not holders([second.pid]).keys() & {inode for _, _, inode in listening_sockets()}:
            if second.poll() is not None or time.monotonic() > deadline:
                said = _SECOND_LOG.read_text(errors="replace")
                raise GuestError(f"the second HAProxy did not start: {said}")
            time.sleep(_POLL_SECONDS)

    def replace(self, tree: Path) -> None:
        """Replace its program and libraries by those of another tree, as a package manager does.

        Processes keep the files that they have open.
        """
        for name in _REPLACED:
            if (tree / name).exists():
                command = ["cp", "-a", "--remove-destination", f"{tree / name}", "-t"]
                command.append(str((self.tree / name).parent))
                transcript.note(*command)
                subprocess.run(command, check=True)

    def end(self, first: Iterable[int] = ()) -> None:
        """End all its processes except the second HAProxy; `first` those that end others.

        Raises GuestError when a process stays.
        """
        self._end(signal.SIGTERM, first)
        for deadly in (signal.SIGTERM, signal.SIGKILL):
            # Those that they have made meanwhile are others.
            self._end(deadly, self.processes())
        if left := self.processes():
            raise GuestError(f"HAProxy's processes {left} do not end")

    def stop(self) -> None:
        """End all its processes, and unmount its root. Raises GuestError when a process stays."""
        self.second = None
        self.end()
        while self._mounts:
            _unmount_soon(self._mounts[-1])
            self._mounts.pop()

    def _end(self, deadly: signal.Signals, pids: Iterable[int]) -> None:
        """Send a signal to processes, and wait some seconds for their end."""
        left = list(pids)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, deadly)
        deadline = time.monotonic() + STOP_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            left = self._own(left)

    def processes(self) -> list[int]:
        """Return the PIDs of the processes that run from the tree, except the second HAProxy."""
        return sorted({*self._own(pids())} - {self.second})

    def _own(self, among: Iterable[int]) -> list[int]:
        return [pid for pid in among if disk_of(pid) in self._disks]

    @functools.cached_property
    def _disks(self) -> set[int | None]:
        """The file systems of its programs, also after an upgrade."""
        return disks_of_build(self.tree)


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
