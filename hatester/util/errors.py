"""The ways in which hatester fails, or is ended.

Everything else that is raised is a fault of hatester itself and shown as a traceback.
"""

from __future__ import annotations

from hatester.util.text import printable


class UserError(Exception):
    """A mistake that the user can mend, in a file, a flag or the host: one sentence, exit 2."""


class TimeIsUp(KeyboardInterrupt):
    """The time limit of a run was reached; it ends in order, as by Ctrl-C."""


class MeasurementError(Exception):
    """A cell could not be measured. It becomes the cell's `error`; the other cells continue."""


def tail(text: str, lines: int = 10) -> str:
    """Return the last lines of a log, for an error's message, safe for a terminal."""
    last = text.rstrip().splitlines()[-lines:]
    return "\n".join(printable(line.expandtabs()) for line in last)
