"""A way into a host over SSH, as the user's own OpenSSH has it, with every wait bounded."""

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
"""How long a host may be visited, all in all."""
STEP_SECONDS = 20
"""How long it may be silent: to the connection, its greeting, each key, each command."""
ANSWER_BYTES = 64 << 20
_PLAIN = re.compile(r"(?!-)[^\s\x00-\x1f\x7f'\"`$\\;&<>|(){}]*")
"""Names of hosts and users, which a ProxyCommand may have among its words, as OpenSSH takes them
(valid_hostname and valid_ruser of its ssh.c)."""

_USER_KNOWN = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
"""Where OpenSSH looks for the keys of hosts (ssh_config(5))."""


class _Refuse(paramiko.MissingHostKeyPolicy):
    """What becomes of a host whose key nobody has seen."""

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
        return str(self.connection.original_host)

    def open(self) -> None:
        """Enter it. Raises UserError in one sentence where that cannot be."""
        try:
            for hop in self._hops:
                _know_hosts(hop)
            self.connection.open()
        except UserError:
            raise
        # What a hostile server makes of its side of SSH, paramiko may raise anything about.
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
        """Run a script for sh(1) there; return its output, up to ANSWER_BYTES.

        It goes to the standard input of a shell, whatever the login shell of the user makes of
        quotes. Raises UserError where the connection is lost.
        """
        try:
            # Not Fabric's own session, which lends the host the user's agent, if it is told to.
            channel = self.connection.transport.open_session(timeout=STEP_SECONDS)
            with contextlib.closing(channel):
                channel.settimeout(STEP_SECONDS)
                channel.exec_command("sh -s")
                # One that runs no commands says so, and does not wait for any.
                with contextlib.suppress(OSError):
                    channel.sendall(script.encode(errors="surrogateescape"))
                    channel.shutdown_write()
                answer = bytearray()
                while data := channel.recv(1 << 16):
                    answer += data
                    if len(answer) > ANSWER_BYTES:
                        raise UserError(f"{self.host} answers with more than can be true.")
        except (paramiko.SSHException, OSError, EOFError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise UserError(
                self._too_slow() if self.is_over else f"{self.host}: connection lost: {reason}."
            ) from error
        if self.is_over:
            raise UserError(self._too_slow())
        return bytes(answer)

    def _too_slow(self) -> str:
        return f"{self.host} did not tell all within {SECONDS:.0f} s."

    def end(self) -> None:
        """Leave, whoever may still be waiting for an answer."""
        for hop in self._hops:
            hop.client.close()

    def expire(self) -> None:
        self.is_over = True
        self.end()


@contextlib.contextmanager
def visit(host: str, user: str = "", port: int = 0, ssh_config: str = "") -> Iterator[Visit]:
    """Enter a host by the user's SSH configuration, or by `ssh_config` as with `ssh -F`.

    Raises UserError where the host, or its key, is not known, or it does not let the user in.
    """
    for flag, name in (("HOST", host), ("--user", user)):
        if not _PLAIN.fullmatch(name):
            raise UserError(f"{flag}: {quoted(name)} is nothing that ssh would take for a name.")
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
    """Let it be entered only if its key is one that OpenSSH knows."""
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
