"""The artifacts of a plan's cells, made side by side: systems, kernel kits, builds.

Downloads wait for the network and the rest for processors. The first guest can boot while others
still wait for their artifacts. An artifact that cannot be made costs the cells that need it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatester.artifacts import cache
from hatester.artifacts.apt import Archive
from hatester.artifacts.disk import Tree
from hatester.artifacts.haproxy import build_version, make_build
from hatester.artifacts.kernel import Kit, kit_version, make_kit
from hatester.artifacts.ssh_keys import Keys, find_keys
from hatester.artifacts.system import make_system
from hatester.matrix.declarations import Matrix
from hatester.util import process
from hatester.util.errors import MeasurementError
from hatester.util.locks import shared


@dataclass(frozen=True)
class Image:
    """A kernel kit, and the disk of the system around it."""

    kit: Kit
    system: Path

    def machine(self, keys: Keys) -> dict[str, Any]:
        """Return the declaration of a machine, as the Vagrantfile takes it."""
        return {
            "release": self.kit.release,
            "vmlinuz": str(self.kit.vmlinuz),
            "initrd": str(self.kit.initrd),
            "modules": str(self.kit.modules),
            "system": str(self.system),
            "private_key": str(keys.private),
            "ssh_config": str(keys.ssh_config),
        }


@dataclass(frozen=True)
class Materials:
    """Systems by suite, kits and builds by name, each available as soon as it is made."""

    matrix: Matrix
    keys: Keys
    systems: Mapping[str, Future[Path]]
    kits: Mapping[str, Future[Kit]]
    trees: Mapping[str, Future[Tree]]

    def image(self, kernel: str) -> Image:
        """Wait for the image of a kernel. Raises MeasurementError when it cannot be made."""
        try:
            system = self.systems[self.matrix.kernels[kernel].system].result()
            return Image(self.kits[kernel].result(), system)
        except MeasurementError as error:
            raise MeasurementError(f"no image for kernel {kernel}: {error}") from error

    def those_of(self, builds: Iterable[str]) -> dict[str, Tree]:
        """Return the trees of builds, as far as they can be made.

        Raises MeasurementError when there is none.
        """
        found = {}
        for build in builds:
            with contextlib.suppress(MeasurementError):
                found[build] = self.tree(build)
        if not found:
            raise MeasurementError("no build of HAProxy can be made")
        return found

    def tree(self, build: str) -> Tree:
        """Wait for the tree of a build. Raises MeasurementError when it cannot be made."""
        try:
            return self.trees[build].result()
        except MeasurementError as error:
            raise MeasurementError(f"no build of HAProxy {build}: {error}") from error


@dataclass(frozen=True)
class Workshop:
    """Makes the artifacts that a matrix declares and the cache lacks, in the threads of `pool`.

    Methods that ask the mirror raise UserError when it cannot be reached.
    """

    archive: Archive
    matrix: Matrix
    keys: Keys
    pool: Executor

    def versions(
        self, kernels: Iterable[str], builds: Iterable[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the versions of kernels and builds, as far as they can be known."""
        submit, archive, matrix = self.pool.submit, self.archive, self.matrix
        linux = {name: submit(kit_version, archive, matrix.kernels[name]) for name in kernels}
        haproxy = {name: submit(build_version, archive, matrix.builds[name]) for name in builds}
        return _had(linux), _had(haproxy)

    def make(self, kernels: Iterable[str], builds: Iterable[str]) -> Materials:
        """Begin to make everything that these need: the system, which takes longest, first."""
        names = list(kernels)
        suites = dict.fromkeys(self.matrix.kernels[name].system for name in names)
        submit, archive = self.pool.submit, self.archive
        systems = {suite: submit(make_system, archive, suite, self.keys) for suite in suites}
        kits = {name: submit(make_kit, archive, self.matrix.kernels[name]) for name in names}
        trees = {name: submit(make_build, archive, self.matrix.builds[name]) for name in builds}
        return Materials(self.matrix, self.keys, systems, kits, trees)


def _had(versions: Mapping[str, Future[str]]) -> dict[str, str]:
    """Keep the versions that are known; a failure is reported when the thing itself is made."""
    return {
        name: version.result()
        for name, version in versions.items()
        if not isinstance(version.exception(), MeasurementError)
    }


@contextlib.contextmanager
def side_by_side() -> Iterator[Executor]:
    """Open threads for making things; neither a thread nor a command of one stays behind."""
    # Some wait for the network while others compute.
    pool = ThreadPoolExecutor(process.processors() + 2)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        with process.stopped():
            pool.shutdown()
        raise
    finally:
        pool.shutdown()


@contextlib.contextmanager
def workshop(archive: Archive, matrix: Matrix) -> Iterator[Workshop]:
    """Open a place in which kernels and builds are made."""
    with shared(cache.use_lock(), "cleans the cache"), side_by_side() as pool:
        yield Workshop(archive, matrix, find_keys(), pool)
