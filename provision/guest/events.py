"""What the guest tells its host: events, a line of JSON each, and signs of life between them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

PULSE_SECONDS = 15.0
"""Of silence, before a sign of life: a fraction of what the host waits for one. More often, it
would disturb what is watched."""


class Events:
    """Writes whole lines, whichever thread has one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def report(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields})
        with self._lock:
            print(line, file=self._file, flush=True)
            self._last = time.monotonic()

    @contextlib.contextmanager
    def pulse(self) -> Iterator[None]:
        """While it is open, the host hears that the guest lives, though nothing happens."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(self._last + PULSE_SECONDS - time.monotonic()):
                if time.monotonic() >= self._last + PULSE_SECONDS:
                    self.report("alive")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
