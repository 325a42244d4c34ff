"""Events for the host: a line of JSON each, and signs of life between them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from provision.guest.protocol import MESSAGE_BYTES, Alive, Broken, Event, encode

PULSE_SECONDS = 15.0
"""Of silence, before a sign of life: a fraction of what the host waits for one. More often, it
would disturb what is watched."""


class Events:
    """A file of whole lines, whichever thread writes one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def report(self, event: Event) -> None:
        """Write an event; in place of one that is too long, say so."""
        line = encode(event)
        if len(line) >= MESSAGE_BYTES:
            reason = f"{len(line)} bytes of evidence are too many: probe less often"
            line = encode(Broken(reason))
        with self._lock:
            print(line, file=self._file, flush=True)
            self._last = time.monotonic()

    @contextlib.contextmanager
    def pulse(self) -> Iterator[None]:
        """While it is open, report now and then that the guest lives, even if nothing happens."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(self._last + PULSE_SECONDS - time.monotonic()):
                if time.monotonic() >= self._last + PULSE_SECONDS:
                    self.report(Alive())

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
