"""Requests for a reload or a restart, and how each is reported."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Sequence

from provision.guest.haproxy import Report, word
from provision.guest.runtime_api import CLI_RESULT

Lines = Sequence[tuple[float, str]]
"""Lines of HAProxy's log, each with the moment at which it was seen."""


class ReloadRequest:
    """A reload that was asked for."""

    exit_code: int | None = None
    """The exit code of the command that asked for it, if there is one."""
    answer: str | None = None
    """The answer of the master CLI, if it was asked."""
    refusal: str | None = None
    """The reason why nobody took it, if nobody did."""
    is_polled = False
    """True if its report has no other time than that of asking for it."""

    def __init__(self, is_heard: bool) -> None:
        self.is_heard = is_heard
        """True if the old process writes to the log."""

    def reported(self, log: Lines, now: float) -> Report | None:
        """Return how HAProxy reports that it ended, `success` or `failure`, and when; None so far.

        `log` has the lines since it was asked for.
        """
        return word(log)


class RefusedRequest(ReloadRequest):
    """Asked for in vain, which whoever asks hears at once."""

    def __init__(self, refusal: str) -> None:
        super().__init__(is_heard=True)
        self.refusal = refusal
        self._refused: float | None = None

    def reported(self, log: Lines, now: float) -> Report | None:
        self._refused = self._refused or now
        return "failure", self._refused


class CommandRequest(ReloadRequest):
    """Asked for by a command, which ends when it knows, or has passed the request on.

    Without a master it knows the result; the old process then is a daemon without a log.
    """

    is_polled = True

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


class CliRequest(ReloadRequest):
    """Asked for at the master CLI: since 2.7 it answers (management guide, section 9.4)."""

    answer = ""
    is_polled = True

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(is_heard=True)
        self._connection = connection
        self._connection.setblocking(False)
        self._answered: float | None = None

    def reported(self, log: Lines, now: float) -> Report | None:
        with contextlib.suppress(OSError):  # nothing yet, or the master has begun anew
            while chunk := self._connection.recv(65536):
                self.answer += chunk.decode("utf-8", "replace")
        found = CLI_RESULT.search(self.answer)
        if found:
            self._answered = self._answered or now
            return ("success" if found["is_success"] == "1" else "failure"), self._answered
        return word(log)


class StartRequest(ReloadRequest):
    """A process that was started: it succeeds once it listens, and fails by its exit code."""

    is_polled = True

    def __init__(self, process: subprocess.Popen[bytes], is_up: Callable[[], bool]) -> None:
        super().__init__(is_heard=True)
        self._process = process
        self._is_up = is_up
        self._report: Report | None = None

    def reported(self, log: Lines, now: float) -> Report | None:
        self.exit_code = self._process.poll() or None
        if self._report is None:
            if self.exit_code:
                self._report = "failure", now
            elif self._is_up():
                self._report = "success", now
        return self._report
