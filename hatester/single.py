"""A guest by itself, outside a run: for a shell, or to ask HAProxy something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hatester import runs
from hatester.engine import Engine
from hatester.guests import Guest
from hatester.materials import Workshop
from hatester.paths import PROJECT
from hatester.progress import Progress
from hatester.ready import Starter
from hatester.vagrant import Vagrant


@contextmanager
def single_guest(
    shop: Workshop, kernel: str, builds: Sequence[str], purpose: str, progress: Progress,
    engine: Engine,
) -> Iterator[Guest]:  # fmt: skip
    """A guest of a kernel in which builds are installed; it ends with its purpose, a word.

    Raises MeasurementError when there can be none.
    """
    materials = shop.make([kernel], builds)
    with runs.machines_folder(purpose) as folder:
        vagrant = Vagrant(PROJECT, folder, engine)
        trees = materials.those_of(builds)
        starter = Starter(materials.image(kernel), trees, materials.keys, vagrant, progress)
        with starter.start(kernel) as guest:
            yield guest
        progress.gone(kernel)
