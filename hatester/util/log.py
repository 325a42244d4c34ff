"""What is told to the user, a line at a time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from hatester.util.text import displayable

# Of libraries that tell by themselves what they also raise, with a traceback each.
for _library in ("paramiko", "qemu.qmp"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

Say = Callable[[str], None]
"""Takes a line, from any thread."""


def say(text: str) -> None:
    """To standard error; standard output is for results."""
    # As one piece, since several threads have something to say.
    sys.stderr.write(f"{displayable(text)}\n")
    sys.stderr.flush()
