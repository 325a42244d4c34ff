"""Host commands: bounded, quiet, and with their last words in the error when they fail."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hatester.util.errors import UserError, tail
from hatester.util.orphans import OWNER, owner

_running: set[subprocess.Popen[str]] = set()
"""In any thread, so that the one that hears of Ctrl-C can end them."""
_is_stopped = threading.Event()

log = logging.getLogger(__name__)

END_SECONDS = 20.0
"""For a command that is told to end, such as mmdebstrap, to take away what it has half made."""


def log_command(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Log a command as a line for a shell, with what `env` adds to the environment."""
    settings = (f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items()))
    log.debug(" ".join([*settings, shlex.join(command)]))


class CommandError(Exception):
    """A host command failed; the message has the command and the last lines that it printed."""

    def __init__(self, command: Sequence[str], reason: str, output: str) -> None:
        self.output = output
        super().__init__(f"{command[0]} {reason}:\n{tail(output)}")


def run(
    command: Sequence[str | Path],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Standard output of a host command; `env` is added to this process's environment.

    Raises CommandError when it fails or takes more than `seconds`, and UserError when it is not
    installed. It runs in a process group of its own, so that what it started ends with it, and is
    told to end when this process dies (setpriv(1), PR_SET_PDEATHSIG).
    """
    words = [str(word) for word in command]
    log_command(words, env)
    process = _start(words, env or {}, cwd)
    _running.add(process)
    try:
        if _is_stopped.is_set():
            raise CommandError(words, "was not let begin", "")
        output, complaints = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        end(process)
        said = error.stderr or b""
        raise CommandError(
            words,
            f"did not end within {seconds:.0f} s",
            said if isinstance(said, str) else said.decode(errors="replace"),
        ) from error
    except BaseException:
        end(process)
        raise
    finally:
        _running.discard(process)
    if process.returncode:
        raise CommandError(words, f"failed with status {process.returncode}", output + complaints)
    return output


def _start(words: Sequence[str], env: Mapping[str, str], cwd: Path | None) -> subprocess.Popen[str]:
    if shutil.which(words[0]) is None:
        raise UserError(f"{words[0]} is not installed; ./bootstrap installs it.")
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8", OWNER: owner(), **env},
        cwd=cwd,
        start_new_session=True,
    )


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    """End the commands of all threads, where each then fails; let no other begin meanwhile."""
    _is_stopped.set()
    try:
        for process in tuple(_running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        yield
    finally:
        _is_stopped.clear()


def require_going_on() -> None:
    """Raise UserError while commands are `stopped`, when nothing is to be awaited any more."""
    if _is_stopped.is_set():
        raise UserError("It was told to end.")


def end(process: subprocess.Popen[str]) -> None:
    """End a process that leads its own group, with all that it started."""
    for deadly in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, deadly)
            process.communicate(timeout=END_SECONDS)
            return


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
