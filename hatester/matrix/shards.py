"""Shards: the parts of a plan for several machines; and batches, which they divide.

A guest measures a batch: cells of one kernel and one seed, always the same ones in the same order.
So the history of a guest before a cell depends neither on other guests, nor on other seeds, nor on
the number of shards.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hatester.matrix.plan import Cell, Task
from hatester.util.errors import UserError
from hatester.util.text import quoted

BATCH = 10
"""Cells of a guest, at most."""
_SHARD = re.compile(r"(?P<number>[1-9][0-9]{0,3})/(?P<count>[1-9][0-9]{0,3})")


class Batch(NamedTuple):
    """Tasks of one kernel, in the order in which they are measured."""

    kernel: str
    tasks: Sequence[Task]


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a plan; they are numbered from 1 on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_shard(text: str) -> Shard:
    """Parse `1/3`. Raises ValueError for anything else."""
    found = _SHARD.fullmatch(text)
    if not found or int(found["number"]) > int(found["count"]):
        raise ValueError(f"{quoted(text)} is not a shard such as 1/3")
    return Shard(int(found["number"]), int(found["count"]))


def choose_shard(flag: str) -> Shard | None:
    """Return the shard of --shard; None where that is empty. Raises UserError for anything else."""
    try:
        return read_shard(flag) if flag else None
    except ValueError as error:
        raise UserError(f"--shard: {error}.") from error


def make_batches(tasks: Iterable[Task]) -> Iterator[Batch]:
    """Yield the batches of tasks, those of a kernel together; each keeps the order of its tasks."""

    def group(task: Task) -> tuple[str, int]:
        return task[0].kernel, task[1]

    for (kernel, _), alike in itertools.groupby(sorted(tasks, key=group), key=group):
        rest = list(alike)
        for start in range(0, len(rest), BATCH):
            yield Batch(kernel, rest[start : start + BATCH])


def plan_tasks(cells: Sequence[Cell], repeat: int, shard: Shard | None = None) -> list[Task]:
    """Return what is to be measured of cells with so many seeds, in order; or a shard's part of it.

    Each part has about as many tasks as the others: they differ from the mean by a batch at most. A
    part may be empty. Neighbouring batches stay together, since each kernel costs a machine an
    image and a saved guest.
    """
    tasks = [(cell, number) for number in range(1, repeat + 1) for cell in cells]
    if shard is None:
        return tasks
    part: set[Task] = set()
    before = 0
    for batch in make_batches(tasks):
        middle = 2 * before + len(batch.tasks)
        if middle * shard.count // (2 * len(tasks)) == shard.number - 1:
            part.update(batch.tasks)
        before += len(batch.tasks)
    return [task for task in tasks if task in part]
