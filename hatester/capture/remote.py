"""A production host that is only read: entered over SSH, asked in one round trip, never changed.

It is entered by the user's OpenSSH configuration, and all waits are bounded.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import re
import shlex
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import fabric
import paramiko

from hatester.util.errors import UserError
from hatester.util.text import quoted

SECONDS = 120.0
"""Seconds that a whole visit may take."""
STEP_SECONDS = 20
"""Seconds that the connection, the greeting, each key and each command may take."""
ANSWER_BYTES = 64 << 20
"""Bytes of an answer in base64, which takes four for three of them."""
_PLAIN = re.compile(r"(?!-)[^\s\x00-\x1f\x7f'\"`$\\;&<>|(){}]*")
"""Valid names of hosts and users, which a ProxyCommand may have among its words (valid_hostname and
valid_ruser of OpenSSH's ssh.c)."""
_NAMELESS = re.compile(r"(?::\d*)?")
"""A host without a name, with or without a port."""

_USER_KNOWN = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
"""The files of known host keys (ssh_config(5))."""

LOOK_SECONDS = 10
LOOK_BYTES = 4 << 20
"""The limits of one command on the host: seconds, and bytes of its answer, or of a file."""

# The answer's last line is the status; one that is too long has none.
_SCRIPT = f"""\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
exec 2>/dev/null
look() {{
    printf '@%s\\n' "$1"
    {{ timeout -k 1 {LOOK_SECONDS} sh -c "$2" </dev/null; printf '\\n%d' "$?"; }} |
        head -c {LOOK_BYTES} | base64
}}
"""
_END = "@end"

_FOLDER, _PROBLEM = 20, 21
# The bodies of private keys stay on the host, and lines keep their numbers. Reading something that
# is not a file, such as a pipe, might never end.
_HIDING = "/-----BEGIN [A-Z0-9 ]*PRIVATE KEY/,/-----END [A-Z0-9 ]*PRIVATE KEY/{//!s/.*//;}"
_READ = f"""\
if [ -d "$f" ]; then ls -1A -- "$f" 2>&1 || exit {_PROBLEM}; exit {_FOLDER}; fi
if [ -e "$f" ] && [ ! -f "$f" ]; then echo 'x: Neither file nor folder'; exit {_PROBLEM}; fi
[ -f "$f" ] && [ -r "$f" ] || {{ head -c 0 -- "$f" 2>&1; exit {_PROBLEM}; }}
exec sed -e '{_HIDING}' -- "$f"
"""

_COUNT = f"""\
[ -f "$f" ] && [ -r "$f" ] || {{ head -c 0 -- "$f" 2>&1; exit {_PROBLEM}; }}
grep -cvE '^[[:space:]]*(#|$)' -- "$f" || [ $? = 1 ]
"""

_STATUSES = {124: f"took longer than {LOOK_SECONDS} s", 127: "is not there"}
_CONTROLS = re.compile(r"[^\t\n -~\u00a0-\U0010ffff]")


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses a host whose key is not known."""

    def __init__(self, login: str) -> None:
        self.login = login

    def missing_host_key(self, client: object, hostname: str, key: object) -> None:
        raise UserError(
            f"{hostname}: its host key is not known; log in once with `{self.login}`, "
            "which shows the key and remembers it."
        )


class Visit:
    """A connection to a host, and the hosts on the way there, that ends after SECONDS."""

    def __init__(self, connection: fabric.Connection) -> None:
        self.connection = connection
        self.is_over = False
        self._hops = [connection]
        while isinstance(hop := self._hops[-1].gateway, fabric.Connection):
            self._hops.append(hop)

    @property
    def host(self) -> str:
        """Return the name under which the user knows the host."""
        return str(self.connection.original_host)

    def open(self) -> None:
        """Log in. Raises UserError with one sentence if that fails."""
        try:
            for hop in self._hops:
                _know_hosts(hop)
            self.connection.open()
        except UserError:
            raise
        # Paramiko may raise anything if a hostile server breaks the protocol.
        except Exception as error:
            raise UserError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        user = self.connection.user
        match error:
            case _ if self.is_over:
                return self._too_slow()
            case paramiko.BadHostKeyException():
                return (
                    f"{error.hostname}: it has another host key than the one that is known; "
                    "unless you know why, somebody may be between."
                )
            case paramiko.PasswordRequiredException():
                return f"{self.host}: the key has a passphrase; give it to your agent: `ssh-add`."
            case paramiko.ssh_exception.NoValidConnectionsError():
                return f"{self.host} refuses connections, or cannot be reached: {error.strerror}."
            case socket.gaierror():
                return f"{self.host}: no host of that name is known: {error.strerror}."
        reason = (str(error) or type(error).__name__).rstrip(".")
        transport = self.connection.client.get_transport()
        if transport and transport.initial_kex_done:  # all that is left is who one is
            return (
                f"{self.host} does not let {user} in with the keys of your agent, your SSH "
                f"configuration and ~/.ssh: {reason}."
            )
        return f"{self.host} cannot be entered: {reason}."

    def run(self, script: str) -> bytes:
        """Run a script of sh(1) on the host; return its output, up to ANSWER_BYTES.

        The script goes to the standard input of a shell, so that the user's login shell does not
        read its quotes. Raises UserError if the connection is lost.
        """
        try:
            # Not Fabric's session, which can forward the user's agent to the host.
            channel = self.connection.transport.open_session(timeout=STEP_SECONDS)
            with contextlib.closing(channel):
                channel.settimeout(STEP_SECONDS)
                channel.exec_command("sh -s")
                # A host that runs no commands prints that, and closes its input.
                with contextlib.suppress(OSError):
                    channel.sendall(script.encode(errors="surrogateescape"))
                    channel.shutdown_write()
                answer = bytearray()
                while data := channel.recv(1 << 16):
                    answer += data
                    if len(answer) > ANSWER_BYTES:
                        raise UserError(
                            f"{self.host}: its configuration and settings are longer than "
                            f"{ANSWER_BYTES * 3 / 4 / 2**20:.0f} MiB."
                        )
        except (paramiko.SSHException, OSError, EOFError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise UserError(
                self._too_slow() if self.is_over else f"{self.host}: connection lost: {reason}."
            ) from error
        if self.is_over:
            raise UserError(self._too_slow())
        return bytes(answer)

    def _too_slow(self) -> str:
        return f"{self.host} did not answer completely within {SECONDS:.0f} s."

    def end(self) -> None:
        """Close all connections, even if a command still waits for its answer."""
        for hop in self._hops:
            hop.client.close()

    def expire(self) -> None:
        """End the visit since its time is over."""
        self.is_over = True
        self.end()


@contextlib.contextmanager
def visit(host: str, user: str = "", port: int = 0, ssh_config: str = "") -> Iterator[Visit]:
    """Enter a host by the user's SSH configuration, or by `ssh_config` as with `ssh -F`.

    Raises UserError if the host or its key is not known, or if it does not let the user in.
    """
    for flag, name in (("HOST", host.rpartition("@")[2]), ("HOST", host), ("--user", user)):
        is_nameless = flag == "HOST" and _NAMELESS.fullmatch(name)
        if is_nameless or not _PLAIN.fullmatch(name):
            raise UserError(f"{flag}: {quoted(name)} is not a valid name for ssh.")
    if ssh_config and not Path(ssh_config).expanduser().is_file():
        raise UserError(f"--ssh-config: there is no file {ssh_config}.")
    waits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), STEP_SECONDS)
    try:
        config = fabric.Config(
            overrides={"timeouts": {"connect": STEP_SECONDS}, "connect_kwargs": waits},
            runtime_ssh_path=ssh_config or None,
        )
        there = Visit(fabric.Connection(host, user=user or None, port=port or None, config=config))
    except (ValueError, paramiko.SSHException, OSError) as error:
        raise UserError(f"{host}: {error}") from error
    timer = threading.Timer(SECONDS, there.expire)
    timer.daemon = True
    timer.start()
    try:
        there.open()
        yield there
    finally:
        timer.cancel()
        there.end()


def _know_hosts(hop: fabric.Connection) -> None:
    """Have a host entered only if OpenSSH knows its key."""
    settings = hop.ssh_config
    files = [
        *settings.get("userknownhostsfile", _USER_KNOWN).split(),
        *settings.get("globalknownhostsfile", _GLOBAL_KNOWN).split(),
    ]
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            hop.client.load_system_host_keys(str(Path(file).expanduser()))
    login = ["ssh", *(["-p", str(hop.port)] if hop.port != 22 else [])]
    where = f"{hop.user}@{hop.original_host}"
    hop.client.set_missing_host_key_policy(_Refuse(shlex.join([*login, where])))


@dataclass(frozen=True)
class Answer:
    """The output of a command, the text of a file, or the `names` in a folder; else the `problem`.

    Bytes that are not UTF-8 are kept as by Python's surrogateescape.
    """

    text: str = ""
    names: tuple[str, ...] | None = None
    problem: str = ""


class Remote:
    """A host that runs scripts of sh(1), and nothing else."""

    def __init__(self, run: Callable[[str], bytes]) -> None:
        self._run = run

    def ask(self, commands: Mapping[str, str]) -> dict[str, Answer]:
        """Return the output of shell commands by name, without control characters."""
        return {
            name: _answer(*outcome)
            for name, outcome in zip(commands, self._look([*commands.values()]), strict=True)
        }

    def read(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Return the files and folders at absolute paths, without the bodies of private keys."""
        return self._look_at(paths, _READ)

    def count(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Return how many lines the files at absolute paths have, without comments, as texts."""
        return self._look_at(paths, _COUNT)

    def _look_at(self, paths: Iterable[str], script: str) -> dict[str, Answer]:
        wanted = [*paths]
        looks = [f"f={shlex.quote(path)}\n{script}" for path in wanted]
        return {
            path: _read(*outcome) for path, outcome in zip(wanted, self._look(looks), strict=True)
        }

    def _look(self, commands: list[str]) -> list[tuple[int | None, bytes]]:
        """Return the status and the output of each command, in one round trip."""
        if not commands:
            return []
        looks = "".join(f"look {n} {shlex.quote(each)}\n" for n, each in enumerate(commands))
        lines = self._run(f"{_SCRIPT}{looks}echo {_END}\n").decode("ascii", "replace").split("\n")
        if _END not in lines:
            raise UserError("The host runs no commands, or broke off its answer.")
        parts: dict[str, list[str]] = {}
        # A shell's start-up files may print something first.
        for line in itertools.dropwhile(lambda line: line != "@0", lines):
            if line.startswith("@"):
                current = parts.setdefault(line, [])
            else:
                current.append(line)
        return [_outcome(parts.get(f"@{number}", [])) for number in range(len(commands))]


def _outcome(lines: list[str]) -> tuple[int | None, bytes]:
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        return None, b""
    output, _, status = data.rpartition(b"\n")
    is_whole = status.isdigit() and len(status) <= 3 and len(data) < LOOK_BYTES
    return (int(status), output) if is_whole else (None, b"")


def _answer(status: int | None, output: bytes) -> Answer:
    problem = _problem(status)
    text = output.decode("utf-8", "replace")
    return Answer(problem=problem) if problem else Answer(_CONTROLS.sub("?", text))


def _read(status: int | None, output: bytes) -> Answer:
    text = output.decode("utf-8", "surrogateescape")
    if status == _FOLDER:
        return Answer(names=tuple(name for name in text.split("\n") if name))
    if status == _PROBLEM:
        return Answer(problem=_CONTROLS.sub("?", text).strip().rpartition(": ")[2] or "unreadable")
    if "\0" in text:
        return Answer(problem="Not a text")
    problem = _problem(status)
    return Answer(problem=problem) if problem else Answer(text)


def _problem(status: int | None) -> str:
    if status is None:
        return f"Answer garbled, or longer than {LOOK_BYTES >> 20} MiB"
    return _STATUSES.get(status, f"failed with status {status}") if status else ""
