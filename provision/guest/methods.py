"""The ways to ask HAProxy for a reload, and to hear what it says of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from provision.guest import transcript
from provision.guest.errors import GuestError, HAProxyEnded
from provision.guest.haproxy import LOG, PID_FILE, HAProxy, Place, Report, last_lines, word
from provision.guest.kernel import bind, unmount
from provision.guest.protocol import cut
from provision.guest.runtime_api import ask, send

_SOCKET = "run/haproxy-master.sock"
_SOCKET_SECONDS = 5.0
UNIT = "hatester-haproxy.service"
_UNITS = Path("/run/systemd/system")
_NOTIFY = Path("/run/systemd/notify")
_ANSWER = re.compile(r"^Success=(?P<is_success>[01])", re.MULTILINE)
_SYSTEMCTL_SECONDS = 600.0
"""In the guest's time, which runs ahead while the host reads a disk."""


Lines = Sequence[tuple[float, str]]
"""Lines of HAProxy's log, each with the moment at which it was seen."""


class ReloadRequest:
    """A reload that was asked for."""

    exit_code: int | None = None
    """The exit code of the command that asked for it, if there is one."""
    answer: str | None = None
    """The answer of the master CLI, if it was asked."""

    def __init__(self, is_heard: bool) -> None:
        self.is_heard = is_heard
        """True if the old process writes to the log."""

    def reported(self, log: Lines, now: float) -> Report | None:
        """Return how HAProxy reports that it ended, `success` or `failure`, and when; None so far.

        `log` has the lines since it was asked for.
        """
        return word(log)


class _CommandRequest(ReloadRequest):
    """Asked for by a command, which ends when it knows, or has passed the request on.

    Without a master it knows the result; the old process then is a daemon without a log.
    """

    def __init__(self, process: subprocess.Popen[bytes], is_heard: bool, knows: bool) -> None:
        super().__init__(is_heard)
        self._process = process
        self._knows = knows
        self._ended: float | None = None

    def reported(self, log: Lines, now: float) -> Report | None:
        self.exit_code = self._process.poll()
        if self.exit_code is None:
            return None
        self._ended = self._ended or now
        if self.exit_code or self._knows:
            return ("failure" if self.exit_code else "success"), self._ended
        return word(log)


class _CliRequest(ReloadRequest):
    """Asked for at the master CLI: since 2.7 it answers (management guide, section 9.4)."""

    answer = ""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(is_heard=True)
        self._connection = connection
        self._connection.setblocking(False)
        self._answered: float | None = None

    def reported(self, log: Lines, now: float) -> Report | None:
        with contextlib.suppress(OSError):  # nothing yet, or the master has begun anew
            while chunk := self._connection.recv(65536):
                self.answer += chunk.decode("utf-8", "replace")
        found = _ANSWER.search(self.answer)
        if found:
            self._answered = self._answered or now
            return ("success" if found["is_success"] == "1" else "failure"), self._answered
        return word(log)


class Signal:
    """SIGUSR2 to the master (management guide, section 4), as in the original report."""

    options: tuple[str, ...] = ("-W",)
    has_cli = False
    """True if the master has a CLI."""

    def __init__(self, haproxy: HAProxy) -> None:
        self.haproxy = haproxy
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, places: Iterable[Place]) -> None:
        """Start HAProxy, and wait until it listens.

        Raises HAProxyEnded when it ends before that, and GuestError when it takes too long.
        """
        self.process = self.haproxy.launch(*self.options)
        self.haproxy.wait_until_up(self.process, places)

    def reload(self) -> ReloadRequest:
        """Ask for a reload. Raises HAProxyEnded when the master has ended."""
        if self.process is None or self.process.poll() is not None:
            raise HAProxyEnded("HAProxy's master has ended; there is nothing to reload")
        transcript.note("kill", "-USR2", str(self.process.pid))
        os.kill(self.process.pid, signal.SIGUSR2)
        return ReloadRequest(self.haproxy.is_heard)

    def master(self) -> int | None:
        """Return the PID of the master, if there is one."""
        return self.process.pid if self.process else None

    def show_processes(self) -> str | None:
        """Return the CLI's answer to `show proc` (management guide, section 9.4), or its error."""
        if not self.has_cli:
            return None
        try:
            return cut(ask(self.haproxy.tree / _SOCKET, "show proc", _SOCKET_SECONDS))
        except GuestError as error:
            return str(error)

    def stop(self) -> None:
        """End HAProxy, and undo what was done for it."""
        self.haproxy.stop()


class Cli(Signal):
    """`reload` at the master CLI (`-S`)."""

    options = ("-W", "-S", f"/{_SOCKET}")
    has_cli = True

    def reload(self) -> ReloadRequest:
        path = str(self.haproxy.tree / _SOCKET)
        talk = f"cli.connect({path!r}); cli.send(b'reload\\n'); print(cli.recv(65536).decode())"
        transcript.note("python3", "-c", f"import socket; cli = socket.socket(1); {talk}")
        return _CliRequest(send(self.haproxy.tree / _SOCKET, "reload", _SOCKET_SECONDS))


class SoftFinish(Signal):
    """No master: a new HAProxy ends the old one (`-sf`, management guide, section 4)."""

    options = ("-D",)

    def reload(self) -> ReloadRequest:
        old = (self.haproxy.tree / PID_FILE.lstrip("/")).read_text().split()
        process = self.haproxy.launch(*self.options, "-sf", *old)
        return _CommandRequest(process, is_heard=False, knows=True)

    def master(self) -> int | None:
        return None


class Systemd(Signal):
    """The packaged unit under the guest's systemd, which checks (`-c`) and then signals.

    Of the unit only the root directory, the output and the limit of starts are changed. The bind
    mount of the log's socket is left out, since that log is not read here.
    """

    has_cli = True

    def __init__(self, haproxy: HAProxy) -> None:
        super().__init__(haproxy)
        self.pid: int | None = None
        self._notify = haproxy.tree / _NOTIFY.relative_to("/")
        self._drop_in = _UNITS / f"{UNIT}.d"

    def start(self, places: Iterable[Place]) -> None:
        unit = self.haproxy.tree / "usr/lib/systemd/system/haproxy.service"
        if not unit.exists():
            raise GuestError("the build has no unit haproxy.service")
        # From within its root directory HAProxy has to reach the socket where it says "ready".
        self._notify.parent.mkdir(parents=True)
        self._notify.touch()
        bind(_NOTIFY, self._notify)
        shutil.copy(unit, _UNITS / UNIT)
        haproxy = self.haproxy
        variables = [
            systemd_variable("EXTRAOPTS", systemd_words(["-S", f"/{_SOCKET}", *haproxy.arguments])),
            *(systemd_variable(name, value) for name, value in haproxy.env.items()),
        ]
        lines = [
            "[Unit]", "StartLimitIntervalSec=0",
            "[Service]", f"RootDirectory={haproxy.tree}", "BindReadOnlyPaths=",
            *(f"Environment={each}" for each in variables),
            *([f"LimitNOFILE={haproxy.nofile}"] if haproxy.nofile else []),
            *(f"{name}={value}" for name, value in haproxy.unit.items()),
            f"StandardOutput=append:{LOG}", f"StandardError=append:{LOG}", "",
        ]  # fmt: skip
        self._drop_in.mkdir()
        (self._drop_in / "hatester.conf").write_text("\n".join(lines))
        _systemctl("daemon-reload")
        try:
            _systemctl("start", UNIT)
        except GuestError as error:
            raise HAProxyEnded(str(error)) from error
        self.pid = int(_systemctl("show", "--property=MainPID", "--value", UNIT))

    def reload(self) -> ReloadRequest:
        command = ["systemctl", "reload", UNIT]
        transcript.note(*command)
        process = subprocess.Popen(command)
        return _CommandRequest(process, self.haproxy.is_heard, knows=False)

    def master(self) -> int | None:
        return self.pid

    def stop(self) -> None:
        if self._drop_in.exists():
            _systemctl("stop", UNIT)
            shutil.rmtree(self._drop_in)
            (_UNITS / UNIT).unlink()
            _systemctl("daemon-reload")
        if os.path.ismount(self._notify):
            unmount(self._notify)
        super().stop()


def systemd_variable(name: str, value: str) -> str:
    """Return a variable for `Environment=`, quoted (systemd.exec(5), systemd.syntax(7))."""
    return _quote(f"{name}={value}").replace("%", "%%")


def systemd_words(words: Sequence[str]) -> str:
    """Return the value of a variable that a unit's command line splits into these words."""
    return " ".join(map(_quote, words))


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _systemctl(*arguments: str) -> str:
    """Run systemctl(1); return its output. Raises GuestError with its error and HAProxy's log."""
    command = ["systemctl", *arguments]
    transcript.note(*command)
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_SYSTEMCTL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise GuestError(f"{' '.join(command)} took {_SYSTEMCTL_SECONDS:.0f} s") from error
    if done.returncode:
        raise GuestError(f"{' '.join(command)}: {done.stderr.strip()}\n{last_lines()}")
    return done.stdout


METHODS = {"signal": Signal, "cli": Cli, "systemd": Systemd, "soft-finish": SoftFinish}
