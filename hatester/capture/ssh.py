"""Connections to a host over SSH, by the user's OpenSSH configuration, with bounded waits."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import threading
from collections.abc import Iterator
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
