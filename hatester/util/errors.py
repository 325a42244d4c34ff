"""The ways in which hatester fails, or is ended.

Everything else that is raised is a fault of hatester itself and shown as a traceback.
"""

from __future__ import annotations

from hatester.util.text import printable


class UserError(Exception):
    """What the user can mend: a file, a flag, the host. One sentence, no traceback, exit 2."""


class TimeIsUp(KeyboardInterrupt):
    """A run's time limit was reached; it ends as by Ctrl-C, in order."""


class MeasurementError(Exception):
    """A cell could not be measured. It becomes the cell's `error`; the other cells go on."""


def tail(text: str, lines: int = 10) -> str:
    """The last lines of a log, as evidence in an error's message, which a terminal may show."""
    last = text.rstrip().splitlines()[-lines:]
    return "\n".join(printable(line.expandtabs()) for line in last)
