"""Processes of this host: commands, bounded and quiet, and the end of those that were orphaned.

A process that hatester starts has OWNER in its environment, and hands it on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from hatester.util.errors import UserError, tail

OWNER = "HATESTER_OWNER"
"""The pid of the hatester that started a process."""
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.02
_running: set[subprocess.Popen[str]] = set()
"""In any thread, so that the one that hears of Ctrl-C can end them."""
_is_stopped = threading.Event()

log = logging.getLogger(__name__)

END_SECONDS = 20.0
"""For an interrupted command, such as mmdebstrap, to remove what it has half made."""


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
    """Run a host command and return its standard output; `env` is added to the environment.

    Raises CommandError when it fails or takes more than `seconds`, and UserError when it is not
    installed. It runs in a process group of its own, so that what it started ends with it, and is
    ended when this process dies (setpriv(1), PR_SET_PDEATHSIG).
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
        env={**os.environ, "LC_ALL": "C.UTF-8", **owner_environment(), **env},
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
        raise UserError("It was interrupted.")


def end(process: subprocess.Popen[str]) -> None:
    """End a process that leads its own group, with all that it started."""
    for deadly in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, deadly)
            process.communicate(timeout=END_SECONDS)
            return


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def owner_environment() -> dict[str, str]:
    """Return the variables by which a child is found when this process has been killed."""
    return {OWNER: str(os.getpid())}


def others() -> Iterator[psutil.Process]:
    """Yield the other processes of this user.

    Those of other containers are left out: their pids and paths mean something else here.
    """
    here = _namespaces(os.getpid())
    for process in psutil.process_iter():
        # It has ended, or belongs to another user.
        with contextlib.suppress(psutil.Error, OSError):
            is_mine = process.uids().effective == os.geteuid() and process.pid != os.getpid()
            if is_mine and _namespaces(process.pid) == here:
                yield process


def _namespaces(pid: int) -> list[int]:
    return [Path(f"/proc/{pid}/ns/{kind}").stat().st_ino for kind in ("pid", "mnt")]


def is_orphan(process: psutil.Process) -> bool:
    """Return True if the process has an OWNER that has ended; False if it has ended itself."""
    with contextlib.suppress(psutil.Error):
        owner = process.environ().get(OWNER, "")
        started = process.create_time()
        if owner.isdecimal():
            try:
                parent = psutil.Process(int(owner))
                # Pids are used again: a process that started later is not the owner.
                return parent.status() == psutil.STATUS_ZOMBIE or parent.create_time() > started
            except psutil.NoSuchProcess:
                return True
    return False


def kill_all(find: Callable[[], list[int]], what: str) -> None:
    """Kill the processes whose pids `find` returns until it finds none.

    Of one that leads a group, the whole group is killed. Raises UserError, in which they are
    called `what`, when they do not end.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    while pids := find():
        if time.monotonic() > deadline:
            raise UserError(f"{what} (pids {', '.join(map(str, pids))}) cannot be ended.")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                is_leader = os.getpgid(pid) == pid
                (os.killpg if is_leader else os.kill)(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
