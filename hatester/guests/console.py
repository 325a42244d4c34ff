"""Consoles of guests: files that QEMU appends to, of which only the end is kept."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

CONSOLE_BYTES = 1 << 20
"""That are kept of a console."""
_MOST_BYTES = 8 * CONSOLE_BYTES
"""Of the file, before its beginning is dropped."""
_TRIM_SECONDS = 5.0


class Console:
    """The console of a guest, in a file. QEMU has opened it with `append=on`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._dropped = 0
        self._lock = threading.Lock()

    def position(self) -> int:
        """Return how many bytes were written so far."""
        with self._lock:
            return self._dropped + self._size()

    def text(self, since: int = 0) -> str:
        """Return the end of what was written after a position; nothing where there is no file."""
        with self._lock, contextlib.suppress(OSError):
            start = max(since - self._dropped, self._size() - CONSOLE_BYTES, 0)
            return self._read(start).decode(errors="replace")
        return ""

    def trim(self) -> None:
        """Drop the beginning of a long file. QEMU goes on at its end, wherever that is."""
        with self._lock, contextlib.suppress(OSError):
            if (size := self._size()) > _MOST_BYTES:
                end = self._read(size - CONSOLE_BYTES)
                os.truncate(self._file, 0)
                with self._file.open("ab") as file:
                    file.write(end)
                self._dropped += size - len(end)

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Trim the file now and then, while the block runs."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(_TRIM_SECONDS):
                self.trim()

        thread = threading.Thread(target=watch, name="console", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _size(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self._file.stat().st_size
        return 0

    def _read(self, start: int) -> bytes:
        with self._file.open("rb") as file:
            file.seek(start)
            return file.read(_MOST_BYTES)
