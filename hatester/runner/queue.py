"""The queue of a run: cells that are left, in batches, for guests that work side by side.

A guest measures one batch, always from its checkpoint on.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from hatester.matrix.plan import Task
from hatester.matrix.shards import Batch, make_batches


class Schedule:
    """Batches, to be asked by several threads."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._left: dict[str, deque[Batch]] = {}
        for batch in make_batches(tasks):
            self._left.setdefault(batch.kernel, deque()).append(batch)
        self._guests: Counter[str] = Counter()
        self._full: set[str] = set()
        self._lock = threading.Lock()

    def take(self) -> Batch | None:
        """Return the next batch; None when no further guest is of any use.

        It is of the kernel with the most batches for each of its guests, the new one among them, so
        that the last guests end at about the same time.
        """
        with self._lock:
            wanted = [kernel for kernel in self._left if self._wants(kernel)]
            if not wanted:
                return None
            kernel = max(wanted, key=lambda each: len(self._left[each]) / (self._guests[each] + 1))
            self._guests[kernel] += 1
            return self._left[kernel].popleft()

    def _wants(self, kernel: str) -> bool:
        """Return whether one guest more would have something to do, and may be started."""
        return bool(self._left[kernel]) and not (self._guests[kernel] and kernel in self._full)

    def put_back(self, kernel: str, tasks: Sequence[Task]) -> None:
        """Take back tasks that a guest could not measure, to be measured in the next one."""
        with self._lock:
            if tasks:
                self._left[kernel].appendleft(Batch(kernel, list(tasks)))

    def leave(self, kernel: str) -> None:
        """Note that a guest of a kernel has come to its end."""
        with self._lock:
            self._guests[kernel] -= 1

    def give_up(self, kernel: str) -> list[Task]:
        """Return the tasks to give up since a guest of a kernel cannot be started or is lost.

        There are none while another guest of it works; that one then gets no help.
        """
        with self._lock:
            if self._guests[kernel] > 1:
                self._full.add(kernel)
                return []
            given_up = [task for batch in self._left[kernel] for task in batch.tasks]
            self._left[kernel].clear()
            return given_up
