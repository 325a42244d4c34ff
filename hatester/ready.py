"""Ready guests: one that waits for its first cell is saved, and others go on from there.

What is saved is an entry of the cache: `memory`, `devices` and `disk.qcow2`, and in `ready.json`
which kernel it runs and which builds are installed. It is named by all that it depends on, so that
one that exists fits. A guest that goes on from it sees the memory's file as its own, page by page
as it needs them, and writes to copies (`start_ready` of provision/qemu/driver.rb): that takes a
moment, where a boot takes many seconds, and costs no memory for what guests have in common.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydantic

from hatester import cache, commands, guests, host, monitor
from hatester.errors import MeasurementError, UserError
from hatester.files import usable
from hatester.guests import Guest
from hatester.images import Image
from hatester.keys import Keys
from hatester.paths import PROJECT, PROVISION
from hatester.progress import Progress
from hatester.trees import Tree
from hatester.vagrant import Vagrant

KIND = "ready"
COPY_SECONDS = 120.0


class _Told(pydantic.BaseModel):
    """What `ready.json` has: the kernel, and the builds with the serials of their disks."""

    kit: str
    release: str
    builds: dict[str, str]


@dataclass(frozen=True)
class _Saved:
    """A saved guest: its folder, by name and by inode, and the builds that are installed in it."""

    folder: Path
    inode: int
    builds: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> _Saved:
        """Raises as `cache.told` does."""
        with usable(folder):
            inode = folder.stat().st_ino
        return cls(folder, inode, cache.told(folder, "ready.json", _Told).builds)


@dataclass(frozen=True)
class Starter:
    """Starts guests of an image in which builds are installed, for the machines of one run."""

    image: Image
    trees: Mapping[str, Tree]
    keys: Keys
    vagrant: Vagrant
    progress: Progress

    def start(self, machine: str) -> Guest:
        """A guest that is ready for cells: from a saved one, or booted where that fails.

        Raises MeasurementError when it does not boot either.
        """
        try:
            return self._go_on(machine, self._find() or self._make(machine))
        except MeasurementError as error:
            self.progress.say(f"guest {machine}: {error}")
            self.progress.doing(machine, f"booting {self.image.kit.release}")
            self.vagrant.destroy(vm_name=machine)
            return self.boot(machine)

    def _find(self) -> _Saved | None:
        """A saved guest that has these builds; more do no harm."""
        needed = self._serials()
        for folder in cache.entries(KIND, f"{self._base()}-"):
            try:
                saved = _Saved.read(folder)
            except UserError:  # it was set aside
                continue
            are_there = all(Path(disk).exists() for disk in _disks(saved.builds).values())
            if are_there and needed.items() <= saved.builds.items():
                return saved
        return None

    def _make(self, machine: str) -> _Saved:
        """Boot a guest and save it, unless another run just does the same."""

        def make(folder: Path) -> None:
            self.progress.doing(machine, f"booting {self.image.kit.release}, to be saved")
            try:
                with self.boot(machine) as guest:
                    _save(guest, folder)
            finally:
                self.vagrant.destroy(vm_name=machine)
            kit = self.image.kit
            told = _Told(builds=self._serials(), kit=kit.folder.name, release=kit.release)
            (folder / "ready.json").write_text(told.model_dump_json())

        name = f"{self._base()}-{cache.digest(self._serials(), [])}"
        return _Saved.read(cache.entry(KIND, name, make))

    def boot(self, machine: str) -> Guest:
        """A guest that boots, and is prepared then. Raises MeasurementError when it does not."""
        disks = _disks(self._serials())
        guest = guests.start(machine, self.image, self.keys, self.vagrant, disks=disks)
        guest.prepare(self.trees)
        return guest

    def _go_on(self, machine: str, saved: _Saved) -> Guest:
        self.progress.doing(machine, f"going on from a saved {self.image.kit.release}")
        try:
            return guests.start(
                machine, self.image, self.keys, self.vagrant,
                disks=_disks(saved.builds), ready=str(saved.folder),
            )  # fmt: skip
        except MeasurementError:
            # One that was told to end says nothing of what it went on from.
            with contextlib.suppress(UserError):
                commands.require_going_on()
                cache.reject(saved.folder, saved.inode, "is of no use: no guest went on from it")
            raise

    def _serials(self) -> dict[str, str]:
        """Which disk has the tree of each build."""
        return {name: tree.serial for name, tree in self.trees.items()}

    def _base(self) -> str:
        """What a saved guest depends on beside its builds, as the beginning of its name."""
        accelerator = self.vagrant.accelerator
        ingredients = {
            "kit": self.image.kit.folder.name,
            "system": self.image.system.parent.name,
            "qemu": host.qemu_version(),
            "accelerator": accelerator,
            # Under KVM a guest sees the host's processor.
            "processor": host.processor() if accelerator == "kvm" else None,
        }
        recipe = [
            *sorted(path for path in PROVISION.rglob("*") if path.suffix in (".py", ".rb")),
            PROJECT / "Vagrantfile",
            Path(guests.__file__),
            Path(__file__),
        ]
        return cache.digest(ingredients, recipe)


def _disks(serials: Mapping[str, str]) -> dict[str, str]:
    """The disks of builds, by their serials, as the Vagrantfile takes them."""
    return {
        serial: str(cache.root() / "builds" / serial / "tree.ext4")
        for serial in sorted(set(serials.values()))
    }


def _save(guest: Guest, folder: Path) -> None:
    """Write down a guest, which then stands still. Raises MeasurementError when that fails."""
    # Connections that memory holds would be dead in those that go on from it.
    guest.connection.close()
    monitor.save_devices(guest.folder, folder / "devices")
    for source, target in ((_memory(guest), "memory"), (guest.folder / "disk.qcow2", "disk.qcow2")):
        commands.run(["cp", "--sparse=always", source, folder / target], seconds=COPY_SECONDS)


def _memory(guest: Guest) -> Path:
    """The file that backs its memory: it has no name but in /proc."""
    process = guest.process()
    for file in (process / "fd").iterdir() if process else ():
        with contextlib.suppress(OSError):  # it was closed in between
            if file.readlink().name.startswith("memfd:memory"):
                return file
    raise MeasurementError("QEMU's memory has no file, and so cannot be saved")
