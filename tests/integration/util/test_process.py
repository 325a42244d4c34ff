"""Host commands: bounded, ended with all that they started, and with the reason of a failure."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hatester.util import log, process
from hatester.util.errors import UserError
from tests.factories.processes import has_ended, is_running


def written(path: Path) -> int:
    """Return the number that a command writes to a file, once it has."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.01)
    pytest.fail(f"nothing was written to {path}")


def test_standard_output_is_returned() -> None:
    assert process.run(["sh", "-c", "cat; echo out; echo err >&2"], seconds=10) == "out\n"


def test_failure_shows_status_and_last_line() -> None:
    with pytest.raises(process.CommandError, match=r"sh failed with status 3:\n(.*\n)*no disk"):
        process.run(["sh", "-c", "echo trying; echo no disk >&2; exit 3"], seconds=10)


def test_control_characters_are_not_shown() -> None:
    with pytest.raises(process.CommandError) as caught:
        process.run(["sh", "-c", r"printf '\033]0;mine\a\tno disk\r\n'; exit 3"], seconds=10)
    assert str(caught.value) == "sh failed with status 3:\n?]0;mine?       no disk"


def test_timeout_ends_all_processes(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >{tmp_path}/pid; echo waiting >&2; wait"
    with pytest.raises(process.CommandError, match="did not end within 1 s"):
        process.run(["sh", "-c", script], seconds=1)
    assert has_ended(written(tmp_path / "pid"))


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match="no-such-command is not installed"):
        process.run(["no-such-command"], seconds=10)


def run_for_long(path: Path) -> None:
    process.run(["sh", "-c", f"echo $$ >{path}; exec sleep 60"], seconds=100)


def test_command_ends_with_its_parent(tmp_path: Path) -> None:
    parent = multiprocessing.Process(target=run_for_long, args=(tmp_path / "pid",))
    parent.start()
    pid = written(tmp_path / "pid")
    assert parent.pid
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join(timeout=10)
    assert has_ended(pid)


def stop_amid(path: Path, said: multiprocessing.Queue[str]) -> None:
    """Return how a command ends in another thread, and one after it."""

    def try_to_run(*command: str) -> None:
        try:
            process.run(command, seconds=60)
        except process.CommandError as error:
            said.put(str(error))

    thread = threading.Thread(target=try_to_run, args=("sh", "-c", f"echo $$ >{path}; sleep 60"))
    thread.start()
    written(path)
    with process.stopped():
        thread.join()
        try_to_run("true")


def test_stop_ends_all_commands(tmp_path: Path) -> None:
    said: multiprocessing.Queue[str] = multiprocessing.Queue()
    child = multiprocessing.Process(target=stop_amid, args=(tmp_path / "pid", said))
    child.start()
    # It writes its number a moment before its own process knows that it has begun.
    ended = ("sh failed with status -15", "sh was not let begin")
    assert said.get(timeout=10).startswith(ended)
    assert "true was not let begin" in said.get(timeout=10)
    child.join(timeout=10)
    assert has_ended(written(tmp_path / "pid"))


def test_logged_commands_can_be_pasted(caplog: pytest.LogCaptureFixture) -> None:
    script = 'echo "$PLACE" "$MOOD" "$1"'
    command = ["sh", "-c", script, "sh", "it's"]
    with log.shown(is_verbose=True):
        output = process.run(command, seconds=10, env={"PLACE": "a b", "MOOD": "so; so"})
    [line] = caplog.messages
    in_shell = subprocess.run(["sh"], check=True, input=line, capture_output=True, text=True)
    assert in_shell.stdout == output == "a b so; so it's\n"


def test_commands_run_again_after_they_were_stopped() -> None:
    with process.stopped(), pytest.raises(process.CommandError, match="was not let begin"):
        process.run(["true"], seconds=10)
    assert process.run(["echo", "again"], seconds=10) == "again\n"
