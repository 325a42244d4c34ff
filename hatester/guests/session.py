"""A guest by itself, outside a run: for a shell, or to ask HAProxy something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hatester.artifacts.builder import Workshop
from hatester.guests import machines
from hatester.guests.checkpoint import Starter
from hatester.guests.engine import Engine
from hatester.guests.guest import Guest
from hatester.guests.vagrant import Vagrant
from hatester.util.paths import PROJECT
from hatester.util.progress import Progress


@contextmanager
def single_guest(
    shop: Workshop, kernel: str, builds: Sequence[str], purpose: str, progress: Progress,
    engine: Engine,
) -> Iterator[Guest]:  # fmt: skip
    """A guest of a kernel in which builds are installed; it ends with its purpose, a word.

    Raises MeasurementError when there can be none.
    """
    materials = shop.make([kernel], builds)
    with machines.machines_folder(purpose) as folder:
        vagrant = Vagrant(PROJECT, folder, engine)
        trees = materials.those_of(builds)
        starter = Starter(materials.image(kernel), trees, materials.keys, vagrant, progress)
        with starter.start(kernel) as guest:
            yield guest
        progress.gone(kernel)
