"""A small SSH server on 127.0.0.1 that runs commands here, or behaves badly."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

_ENDED = (OSError, EOFError, paramiko.SSHException)
Behaviour = Callable[[paramiko.Channel, bytes], None]


def obeys(channel: paramiko.Channel, command: bytes) -> None:
    """Run the command in a shell, as sshd does."""
    with channel.makefile("rb") as stdin:
        done = subprocess.run(
            ["sh", "-c", command], input=stdin.read(), capture_output=True, check=False
        )
    channel.sendall(done.stdout)
    channel.send_exit_status(done.returncode)
    channel.close()


def says(text: bytes) -> Behaviour:
    """Return a behaviour that answers every command with the same text."""

    def say(channel: paramiko.Channel, _command: bytes) -> None:
        channel.recv(1)
        channel.sendall(text)
        channel.send_exit_status(0)
        channel.close()

    return say


def drips(channel: paramiko.Channel, _command: bytes) -> None:
    """Send one byte after another, without end."""
    with contextlib.suppress(*_ENDED):
        while not threading.Event().wait(0.05):
            channel.sendall(b".")


def floods(channel: paramiko.Channel, _command: bytes) -> None:
    """Send as much as there is room for."""
    with contextlib.suppress(*_ENDED):
        while True:
            channel.sendall(b"." * 65536)


def is_silent(_channel: paramiko.Channel, _command: bytes) -> None:
    """Take the command, and do nothing."""


class _Server(paramiko.ServerInterface):
    def __init__(self, users_key: paramiko.PKey, behaviour: Behaviour | None) -> None:
        self.users_key = users_key
        self.behaviour = behaviour

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_known = key == self.users_key
        return paramiko.common.AUTH_SUCCESSFUL if is_known else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.behaviour is None:  # it does not even say whether it will
            threading.Event().wait(30)
            return False
        threading.Thread(target=self.behaviour, args=(channel, command), daemon=True).start()
        return True


@dataclass(frozen=True)
class Place:
    """Where a server is, and an SSH configuration by which it is called `production`."""

    port: int
    folder: Path
    host_key: paramiko.PKey

    @property
    def config(self) -> str:
        return str(self.folder / "config")

    def know(self, key: paramiko.PKey) -> None:
        """Have a key be known as the server's."""
        line = f"[127.0.0.1]:{self.port} {key.get_name()} {key.get_base64()}\n"
        (self.folder / "known_hosts").write_text(line)


@contextlib.contextmanager
def ssh_server(
    folder: Path, behaviour: Behaviour | None = obeys, host_key: paramiko.PKey | None = None
) -> Iterator[Place]:
    """Serve whoever has the key `folder/key`, with a host key that is known.

    Without a behaviour, it never answers the wish for a command.
    """
    host_key = host_key or paramiko.ECDSAKey.generate()
    users_key = paramiko.ECDSAKey.generate()
    users_key.write_private_key_file(str(folder / "key"))
    with _listening(lambda connection: _serve(connection, host_key, users_key, behaviour)) as port:
        (folder / "config").write_text(
            f"Host production\n  HostName 127.0.0.1\n  Port {port}\n  User tester\n"
            f"  IdentityFile {folder}/key\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )
        place = Place(port, folder, host_key)
        place.know(host_key)
        yield place


def _serve(
    connection: socket.socket,
    host_key: paramiko.PKey,
    users_key: paramiko.PKey,
    behaviour: Behaviour | None,
) -> None:
    transport = paramiko.Transport(connection)
    transport.daemon = True
    transport.add_server_key(host_key)
    with contextlib.suppress(*_ENDED):
        transport.start_server(server=_Server(users_key, behaviour))
        transport.join()


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)
