"""Ready guests: one that waits for its first cell is saved, and others go on from there.

A saved guest is an entry of the cache: `memory`, `devices` and `disk.qcow2`, and in `ready.json`
its kernel and its builds. The entry is named by its ingredients, so that one that exists fits. A
guest that goes on from it maps the memory's file page by page, and writes to copies (`start_ready`
of provision/qemu/driver.rb). That takes a moment, where a boot takes many seconds, and guests share
the pages that they do not write.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pydantic

from hatester.artifacts import cache
from hatester.artifacts.builder import Image, Workshop
from hatester.artifacts.disk import Tree
from hatester.artifacts.ssh_keys import Keys
from hatester.guests import host_capabilities, machines, qmp
from hatester.guests.guest import Guest, pack_program, start
from hatester.guests.host_capabilities import Engine
from hatester.guests.vagrant import Vagrant
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError
from hatester.util.files import usable
from hatester.util.paths import PROJECT
from hatester.util.progress import Progress

log = logging.getLogger(__name__)

RECIPE = 3
"""The way to prepare and save a guest, and to go on from it. Raise it with a change that
makes another guest of the same ingredients, or gives it another command line of QEMU: in this file,
guest.py, vagrant.py, qmp.py, artifacts/builder.py, the Vagrantfile, provision/qemu_provider.rb or
provision/qemu/. The program that is uploaded to it (provision/guest/*.py) is an ingredient."""
KIND = "ready"
COPY_SECONDS = 120.0


class _Description(pydantic.BaseModel):
    """The content of `ready.json`.

    It has the kernel, the builds with the serials of their disks, which trees these are
    (`cache.identity`), and for garbage collection the entries that the guest needs, as
    `kernels/NAME`.
    """

    needs: list[str]
    release: str
    builds: dict[str, str]
    trees: dict[str, str]


@dataclass(frozen=True)
class _Saved:
    """A saved guest: its folder, by name and by inode, and its own description."""

    folder: Path
    inode: int
    description: _Description

    @classmethod
    def read(cls, folder: Path) -> _Saved:
        """Read a saved guest. Raises as `cache.read_description` does."""
        with usable(folder):
            inode = folder.stat().st_ino
        return cls(folder, inode, cache.read_description(folder, "ready.json", _Description))

    def has(self, builds: Mapping[str, str]) -> bool:
        """Return True if it has builds, and all its trees are still those that it has mounted."""
        are_there = builds.items() <= self.description.builds.items()
        return are_there and all(
            cache.identity(_tree(serial)) == known
            for serial, known in self.description.trees.items()
        )


@dataclass(frozen=True)
class Starter:
    """Starts guests of an image in which builds are installed, for the machines of one run."""

    image: Image
    trees: Mapping[str, Tree]
    keys: Keys
    vagrant: Vagrant
    progress: Progress

    def start(self, machine: str) -> Guest:
        """Return a guest that is ready for cells: from a saved one, or booted where that fails.

        Raises MeasurementError when it does not boot either.
        """
        try:
            return self._go_on(machine, self._find() or self._make(machine))
        except MeasurementError as error:
            log.info(f"guest {machine}: {error}")
            self.progress.doing(machine, f"booting {self.image.kit.release}")
            self.vagrant.destroy(vm_name=machine)
            return self.boot(machine)

    def _find(self) -> _Saved | None:
        """Find a saved guest that has these builds; further builds do no harm."""
        needed = self._serials()
        for folder in cache.entries(KIND, f"{self._base()}-"):
            try:
                saved = _Saved.read(folder)
            except UserError:  # it is quarantined
                continue
            if saved.has(needed):
                return saved
        return None

    def _make(self, machine: str) -> _Saved:
        """Boot a guest and save it, unless another run is doing the same."""

        def make(folder: Path) -> None:
            self.progress.doing(machine, f"booting {self.image.kit.release}, to be saved")
            try:
                with self.boot(machine) as guest:
                    _save(guest, folder)
            finally:
                self.vagrant.destroy(vm_name=machine)
            (folder / "ready.json").write_text(description.model_dump_json())

        kit = self.image.kit
        trees = {tree.serial: cache.identity(tree.folder) for tree in self.trees.values()}
        needs = {f"builds/{tree.folder.name}" for tree in self.trees.values()}
        needs |= {f"kernels/{kit.folder.name}", f"systems/{self.image.system.parent.name}"}
        description = _Description(
            needs=sorted(needs), release=kit.release, builds=self._serials(), trees=trees
        )
        name = f"{self._base()}-{cache.digest(RECIPE, [description.builds, description.trees])}"
        return _Saved.read(cache.entry(KIND, name, make))

    def boot(self, machine: str) -> Guest:
        """Boot a guest and prepare it. Raises MeasurementError when it does not boot."""
        # On the clock on which others go on from it. From the host's clock, its time stamp counter
        # would go back, and its time stand still until the counter has caught up: a guest whose
        # first connection came then was seen to hang.
        disks = _disks(self._serials())
        guest = start(machine, self.image, self.keys, self.vagrant, disks=disks)
        guest.prepare(self.trees)
        return guest

    def _go_on(self, machine: str, saved: _Saved) -> Guest:
        self.progress.doing(machine, f"going on from a saved {self.image.kit.release}")
        try:
            return start(
                machine, self.image, self.keys, self.vagrant,
                disks=_disks(saved.description.builds), ready=str(saved.folder),
            )  # fmt: skip
        except MeasurementError:
            # An interrupted start says nothing about the saved guest.
            with contextlib.suppress(UserError):
                process.require_going_on()
                cache.reject(saved.folder, saved.inode, "is of no use: no guest went on from it")
            raise

    def _serials(self) -> dict[str, str]:
        return {name: tree.serial for name, tree in self.trees.items()}

    def _base(self) -> str:
        """Return the beginning of a saved guest's name: its ingredients except builds, digested."""
        engine = self.vagrant.engine
        kit, system = self.image.kit.folder, self.image.system.parent
        ingredients = {
            # With other disks than it began with, a guest would read nonsense.
            "kit": [kit.name, cache.identity(kit)],
            "system": [system.name, cache.identity(system)],
            "qemu": host_capabilities.qemu_version(),
            "engine": asdict(engine),
            # Under KVM a guest sees the host's processor.
            "processor": host_capabilities.processor() if engine.accelerator == "kvm" else None,
            "program": hashlib.sha256(pack_program()).hexdigest(),
        }
        return cache.digest(RECIPE, ingredients)


def _disks(serials: Mapping[str, str]) -> dict[str, str]:
    """Return the disks of builds, by their serials, as the Vagrantfile takes them."""
    return {serial: str(_tree(serial) / "tree.ext4") for serial in sorted(set(serials.values()))}


def _tree(serial: str) -> Path:
    return cache.root() / "builds" / serial


def _save(guest: Guest, folder: Path) -> None:
    """Save a guest, which then stands still. Raises MeasurementError when that fails."""
    # Connections that memory holds would be dead in those that go on from it.
    guest.connection.close()
    qmp.save_devices(guest.folder, folder / "devices")
    for source, target in ((_memory(guest), "memory"), (guest.folder / "disk.qcow2", "disk.qcow2")):
        process.run(["cp", "--sparse=always", source, folder / target], seconds=COPY_SECONDS)


def _memory(guest: Guest) -> Path:
    """Return the file that backs its memory: it has no name except in /proc."""
    qemu = guest.process()
    for file in Path(f"/proc/{qemu.pid}/fd").iterdir() if qemu else ():
        with contextlib.suppress(OSError):  # it was closed in between
            if file.readlink().name.startswith("memfd:memory"):
                return file
    raise MeasurementError("QEMU's memory has no file, and so cannot be saved")


@contextlib.contextmanager
def single_guest(
    shop: Workshop, kernel: str, builds: Sequence[str], purpose: str, progress: Progress,
    engine: Engine,
) -> Iterator[Guest]:  # fmt: skip
    """Start a guest of a kernel with builds installed, outside a run; end it afterwards.

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
