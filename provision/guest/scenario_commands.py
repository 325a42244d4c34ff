"""Commands of a scenario, to HAProxy's sockets and to the shell, and their replies."""

from __future__ import annotations

import os
import subprocess

from provision.guest import transcript
from provision.guest.errors import GuestError
from provision.guest.haproxy_root import place_of
from provision.guest.protocol import Reply, cut
from provision.guest.reload_methods import Signal
from provision.guest.runtime_api import ask

_SOCKET_SECONDS = 5.0
_COMMAND_SECONDS = 60.0


def ask_haproxy(method: Signal, socket: str, command: str, number: int, at: float) -> Reply:
    """Ask HAProxy a command at a socket of its root; without one, at its master's."""
    tree = method.haproxy.tree
    try:
        if socket:
            text = ask(place_of(tree, socket), command, _SOCKET_SECONDS)
        else:
            text = method.ask_master(command)
    except GuestError as error:
        return Reply(number, at, "", error=cut(str(error)))
    return Reply(number, at, cut(text))


def run_command(method: Signal, command: str, number: int, at: float) -> Reply:
    """Run a command of the shell; `$ROOT` is HAProxy's root, `$PID` that of its master.

    Raises GuestError when it takes too long.
    """
    transcript.note(tail=command)
    variables = {"ROOT": str(method.haproxy.tree), "PID": str(method.master() or "")}
    try:
        done = subprocess.run(
            ["sh", "-c", command],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_COMMAND_SECONDS, env={**os.environ, **variables},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise GuestError(f"'{command}' took {_COMMAND_SECONDS:.0f} s") from error
    return Reply(number, at, cut(done.stdout.decode(errors="replace")), done.returncode)
