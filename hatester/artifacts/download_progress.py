"""How far transfers are: bars at a terminal, else a line every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from hatester.util.progress import CONSOLE

log = logging.getLogger(__name__)

LINE_SECONDS = 5.0
Arrived = Callable[[int], None]
"""Takes how many bytes of a file are there by now."""


class Bars:
    """The bars of all threads: one display, which is shown while there is a bar."""

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self.progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), console=console, transient=True,
        )  # fmt: skip

    @contextmanager
    def told(self, name: str, total: int | None) -> Iterator[Arrived]:
        with self._lock:
            self._count += 1
            self.progress.start()
        bar = self.progress.add_task(name, total=total)
        try:
            yield lambda arrived: self.progress.update(bar, completed=arrived)
        finally:
            self.progress.remove_task(bar)
            with self._lock:
                self._count -= 1
                if not self._count:
                    self.progress.stop()


_BARS = Bars(CONSOLE)


@contextmanager
def told(name: str, total: int | None) -> Iterator[Arrived]:
    """While a file of `total` bytes, if that is known, is transferred."""
    if CONSOLE.is_terminal and not CONSOLE.is_dumb_terminal:
        with _BARS.told(name, total) as arrived:
            yield arrived
    else:
        yield _lines(name, total)


def _lines(name: str, total: int | None) -> Arrived:
    next_at = time.monotonic() + LINE_SECONDS

    def arrived(size: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + LINE_SECONDS
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info(f"fetching {name}: {size / 1e6:.1f}{of} MB")

    return arrived
