"""What is left to be measured, for guests that work through it side by side."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from hatester.plan import Task


class Schedule:
    """Tasks by kernel, to be asked by several threads. A guest takes those of one kernel."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._left: dict[str, deque[Task]] = {}
        for task in tasks:
            self._left.setdefault(task[0].kernel, deque()).append(task)
        self._guests: Counter[str] = Counter()
        self._full: set[str] = set()
        self._lock = threading.Lock()

    def enter(self) -> str | None:
        """The kernel to start a guest of next; None when no further guest is of any use.

        That is the one with the most tasks for each of its guests, the new one among them, so
        that the last guests end at about the same time.
        """
        with self._lock:
            wanted = [kernel for kernel in self._left if self._wants(kernel)]
            if not wanted:
                return None
            kernel = max(wanted, key=lambda each: len(self._left[each]) / (self._guests[each] + 1))
            self._guests[kernel] += 1
            return kernel

    def _wants(self, kernel: str) -> bool:
        """Whether one guest more would find something to do, before the others have done it."""
        guests = self._guests[kernel]
        return len(self._left[kernel]) > guests and not (guests and kernel in self._full)

    def leave(self, kernel: str) -> None:
        """A guest of a kernel has come to its end."""
        with self._lock:
            self._guests[kernel] -= 1

    def take(self, kernel: str) -> Task | None:
        """The next task for a guest of a kernel, if there is one."""
        with self._lock:
            left = self._left[kernel]
            return left.popleft() if left else None

    def put_back(self, task: Task) -> None:
        """A task that could not be carried out in one guest, to be tried in another."""
        with self._lock:
            self._left[task[0].kernel].appendleft(task)

    def give_up(self, kernel: str) -> list[Task]:
        """What must be given up since a guest of a kernel, which has entered, cannot be started.

        Nothing while another guest is at work on it; that one then gets no help.
        """
        with self._lock:
            if self._guests[kernel] > 1:
                self._full.add(kernel)
                return []
            given_up = list(self._left[kernel])
            self._left[kernel].clear()
            return given_up
