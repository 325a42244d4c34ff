"""What the guest tells its host: events, a line of JSON each, and signs of life between them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any, TextIO

PULSE_SECONDS = 5.0
"""Between two signs of life: a fraction of what the host waits for one."""


class Events:
    """Writes whole lines, whichever thread has one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def report(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields})
        with self._lock:
            print(line, file=self._file, flush=True)

    @contextlib.contextmanager
    def pulse(self) -> Iterator[None]:
        """While it is open, the host hears that the guest lives, though nothing happens."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(PULSE_SECONDS):
                self.report("alive")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
