"""The log of a command: lines on standard error. Standard output is for results.

Modules log to `logging.getLogger(__name__)`: INFO for progress, WARNING for what the user should
know of even while a run ends, DEBUG for commands as they are run (--verbose).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hatester.util.text import displayable

ROOT = logging.getLogger("hatester")

# These libraries log, with a traceback each, errors that they raise as well.
for _library in ("paramiko", "qemu.qmp"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


class _Lines(logging.Handler):
    """Writes each record as one piece, since several threads log at once."""

    def emit(self, record: logging.LogRecord) -> None:
        # rich replaces sys.stderr while it draws; lines then scroll by above its drawing.
        sys.stderr.write(f"{displayable(record.getMessage())}\n")
        sys.stderr.flush()


@contextmanager
def shown(*, is_verbose: bool = False, is_quiet: bool = False) -> Iterator[None]:
    """Show the log on standard error; from DEBUG on if `is_verbose`, from WARNING if `is_quiet`."""
    before, level = ROOT.handlers, ROOT.level
    ROOT.handlers = [_Lines()]
    usual = logging.WARNING if is_quiet else logging.INFO
    ROOT.setLevel(logging.DEBUG if is_verbose else usual)
    try:
        yield
    finally:
        ROOT.handlers = before
        ROOT.setLevel(level)


def mute_progress() -> None:
    """Drop further INFO lines of the log that is `shown`: failures while a run ends are noise."""
    for handler in ROOT.handlers:
        handler.addFilter(lambda record: record.levelno != logging.INFO)
