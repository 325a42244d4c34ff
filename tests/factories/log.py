"""The messages of the log, for property tests, which cannot use caplog."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hatester.util import log


@contextmanager
def log_messages(*, is_verbose: bool = False) -> Iterator[list[str]]:
    """Collect the messages of hatester's log, with the DEBUG ones where `is_verbose`."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    with log.shown(is_verbose=is_verbose):
        log.ROOT.handlers = [handler]
        yield messages
