"""The ways to start, reload, restart and stop HAProxy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from provision.guest import transcript
from provision.guest.errors import GuestError, HAProxyEnded
from provision.guest.haproxy import LOG, PID_FILE, HAProxy, Place, last_lines
from provision.guest.kernel import bind, unmount
from provision.guest.plan import Plan
from provision.guest.protocol import cut
from provision.guest.reload_requests import (
    CliRequest,
    CommandRequest,
    RefusedRequest,
    ReloadRequest,
    StartRequest,
)
from provision.guest.runtime_api import ask, send

_SOCKET = "run/haproxy-master.sock"
_SOCKET_SECONDS = 5.0
UNIT = "hatester-haproxy.service"
_UNITS = Path("/run/systemd/system")
_NOTIFY = Path("/run/systemd/notify")
_SYSTEMCTL_SECONDS = 600.0
"""In the guest's time, which runs ahead while the host reads a disk."""


class Signal:
    """SIGUSR2 to the master (management guide, section 4), as in the original report."""

    options: tuple[str, ...] = ("-W",)
    has_cli = False
    """True if the master has a CLI."""

    def __init__(self, haproxy: HAProxy) -> None:
        self.haproxy = haproxy
        self.process: subprocess.Popen[bytes] | None = None
        self.masters: set[int] = set()
        """The PIDs of all masters so far."""

    def start(self, places: Iterable[Place]) -> None:
        """Start HAProxy, and wait until it listens.

        Raises HAProxyEnded when it ends before that, and GuestError when it takes too long.
        """
        self._launch()
        assert self.process is not None
        self.haproxy.wait_until_up(self.process, places)

    def _launch(self) -> None:
        self.process = self.haproxy.launch(*self.options)
        self.masters.add(self.process.pid)

    def restart(self, places: Iterable[Place]) -> ReloadRequest:
        """Stop HAProxy, and start it."""
        self.end()
        self._launch()
        assert self.process is not None
        wanted = {*places}
        return StartRequest(self.process, lambda: not self.haproxy.missing(wanted))

    def end(self) -> None:
        """Stop HAProxy at once, as a service manager does: SIGTERM (management guide, section 4).

        Raises GuestError when a process stays.
        """
        first = [self.process.pid] if self.process and self.master() else []
        self.haproxy.end(first)

    def reload(self) -> ReloadRequest:
        """Ask for a reload. Raises HAProxyEnded when none of its processes is there."""
        if self.process is None or self.process.poll() is not None:
            return self._refused("kill: No such process")
        transcript.note("kill", "-USR2", str(self.process.pid))
        os.kill(self.process.pid, signal.SIGUSR2)
        return ReloadRequest(self.haproxy.is_heard)

    def _refused(self, reason: str) -> ReloadRequest:
        """Return a request that nobody took."""
        if not self.haproxy.processes():
            raise HAProxyEnded(f"HAProxy has ended, and cannot be asked to reload: {reason}")
        return RefusedRequest(reason)

    def master(self) -> int | None:
        """Return the PID of the master, if there is one."""
        return self.process.pid if self.process else None

    def upgrade(self, tree: Path) -> None:
        """Replace HAProxy's files by those of another build."""
        self.haproxy.replace(tree)

    def ask_master(self, command: str) -> str:
        """Return the master CLI's answer to a command. Raises GuestError without one."""
        return ask(self.haproxy.tree / _SOCKET, command, _SOCKET_SECONDS)

    def show_processes(self) -> str | None:
        """Return the CLI's answer to `show proc` (management guide, section 9.4), or its error."""
        if not self.has_cli:
            return None
        try:
            return cut(self.ask_master("show proc"))
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
        try:
            return CliRequest(send(self.haproxy.tree / _SOCKET, "reload", _SOCKET_SECONDS))
        except GuestError as error:
            return self._refused(str(error))


class SoftFinish(Signal):
    """No master: a new HAProxy ends the old one (`-sf`, management guide, section 4)."""

    options = ("-D",)

    def __init__(self, haproxy: HAProxy, takeover: Sequence[str]) -> None:
        """`takeover` are further arguments of each new HAProxy, such as `-x` with a socket."""
        super().__init__(haproxy)
        self.takeover = takeover

    def reload(self) -> ReloadRequest:
        old = (self.haproxy.tree / PID_FILE.lstrip("/")).read_text().split()
        process = self.haproxy.launch(*self.options, *self.takeover, "-sf", *old)
        return CommandRequest(process, is_heard=False, knows=True)

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
        """The PID of the unit's main process, as far as it is known."""
        self._notify = haproxy.tree / _NOTIFY.relative_to("/")
        self._drop_in = _UNITS / f"{UNIT}.d"

    def start(self, places: Iterable[Place]) -> None:
        if not self._drop_in.exists():
            self._install()
        try:
            _systemctl("start", UNIT)
        except GuestError as error:
            raise HAProxyEnded(str(error)) from error
        self.pid = None
        self.master()

    def _install(self) -> None:
        """Install the unit with its drop-in."""
        # From within its root directory HAProxy has to reach the socket where it says "ready".
        self._notify.parent.mkdir(parents=True)
        self._notify.touch()
        bind(_NOTIFY, self._notify)
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
        self._load_unit()

    def _load_unit(self) -> None:
        """Have systemd take the unit as the build has it now."""
        unit = self.haproxy.tree / "usr/lib/systemd/system/haproxy.service"
        if not unit.exists():
            raise GuestError("the build has no unit haproxy.service")
        shutil.copy(unit, _UNITS / UNIT)
        _systemctl("daemon-reload")

    def restart(self, places: Iterable[Place]) -> ReloadRequest:
        self.pid = None
        return CommandRequest(self._ask_systemd("restart"), is_heard=True, knows=True)

    def end(self) -> None:
        _systemctl("stop", UNIT)

    def reload(self) -> ReloadRequest:
        return CommandRequest(self._ask_systemd("reload"), self.haproxy.is_heard, knows=False)

    @staticmethod
    def _ask_systemd(verb: str) -> subprocess.Popen[bytes]:
        command = ["systemctl", verb, UNIT]
        transcript.note(*command)
        return subprocess.Popen(command)

    def master(self) -> int | None:
        if self.pid is None:
            self.pid = int(_systemctl("show", "--property=MainPID", "--value", UNIT))
            self.masters.add(self.pid)
        return self.pid

    def upgrade(self, tree: Path) -> None:
        super().upgrade(tree)
        self._load_unit()

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


_METHODS = {"signal": Signal, "cli": Cli, "systemd": Systemd}


def method_of(plan: Plan, haproxy: HAProxy) -> Signal:
    """Return the way of reloading that a plan has."""
    if plan.method == "soft-finish":
        return SoftFinish(haproxy, plan.takeover)
    return _METHODS[plan.method](haproxy)
