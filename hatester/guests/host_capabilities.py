"""The host: the needs of a run, the engine of its guests, and its description for the results."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hatester.artifacts import cache
from hatester.util import process
from hatester.util.errors import UserError
from hatester.util.paths import COMMAND, SETUP
from hatester.util.versions import is_older

COMMANDS = {
    "qemu-system-x86_64": "runs the guests",
    "qemu-img": "makes their disks",
    "vagrant": "starts and ends them",
    "mmdebstrap": "makes their system",
    "fakeroot": "makes their disks without root",
    "mke2fs": "makes their disks",
    "depmod": "makes kernel kits",
    "cpio": "makes kernel kits",
    "dpkg-deb": "unpacks kernels and HAProxy",
    "apt-get": "fetches kernels and HAProxy",
    "ssh-keygen": "makes the guests' keys",
}
ACCELERATORS = ("auto", "kvm", "tcg")
CLOCKS = ("auto", "virtual", "real")
"""The clocks of guests: `virtual` follows the instructions that a guest executes, `real` the host's
time. `auto` is virtual where guests are emulated."""
_CPUS = 2
"""Of a guest."""
_FAIR_QEMU = "8.1"
"""The first that shares a virtual clock out to several processors; before that, one that waits for
another uses up the time of all (QEMU's commit 83ecdb18eb65)."""
CACHE_DISK_BYTES = 3 * 2**30
"""Needed to make images and builds; those of the default matrix stay at 2 GiB."""
GUEST_DISK_BYTES = 2**30
"""Written by a guest to its disk, snapshot included."""
MEMORY_BYTES = 2**30
"""A guest has 512 MiB; QEMU and the host need some beside."""
SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """`accelerator` is kvm or tcg, `clock` virtual or real; `cpus` are each guest's."""

    accelerator: str
    clock: str
    cpus: int

    @property
    def is_virtual(self) -> bool:
        return self.clock == "virtual"


@dataclass(frozen=True)
class Finding:
    """One thing that a run needs: whether it exists, and the details or a way to mend it."""

    name: str
    is_ok: bool
    text: str


def _kvm_obstacle() -> str:
    """Return the reason why KVM does not work here; an empty text if it works.

    Some hosts have a /dev/kvm in which stock kernels hang; their processors lack vmx and svm.
    """
    if not Path("/dev/kvm").exists():
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "you may not open /dev/kvm: join its group, kvm, to change that"
    if {"vmx", "svm"}.isdisjoint(Path("/proc/cpuinfo").read_text().split()):
        return "the processor shows neither vmx nor svm, so /dev/kvm cannot be trusted"
    return ""


def choose_accelerator() -> str:
    """Return `kvm` or `tcg`. Raises UserError where HATESTER_ACCEL is neither."""
    chosen = os.environ.get("HATESTER_ACCEL", "auto")
    if chosen not in ACCELERATORS:
        raise UserError(f"HATESTER_ACCEL is '{chosen}'; the choices are {', '.join(ACCELERATORS)}.")
    if chosen != "auto":
        return chosen
    return "tcg" if _kvm_obstacle() else "kvm"


def choose_engine(clock: str = "auto") -> Engine:
    """Return the engine for one of CLOCKS on this host. A virtual clock is always emulated.

    Raises UserError where HATESTER_ACCEL names no accelerator.
    """
    accelerator = choose_accelerator()
    if clock == "auto":
        clock = "virtual" if accelerator == "tcg" else "real"
    if clock == "virtual":
        return Engine("tcg", clock, virtual_cpus(qemu_version()))
    return Engine(accelerator, clock, _CPUS)


def virtual_cpus(qemu: str) -> int:
    """Return how many processors a guest has on the virtual clock of a QEMU, by its `--version`."""
    found = re.search(r"version (\d+(?:\.\d+)*)", qemu)
    return _CPUS if found and not is_older(found[1], _FAIR_QEMU) else 1


def findings() -> Iterator[Finding]:
    """Yield a finding on each need of a run from this host, except the network."""
    for command, purpose in COMMANDS.items():
        path = shutil.which(command)
        yield Finding(command, path is not None, path or f"is not installed; it {purpose}; {SETUP}")
    yield _ids()
    yield _accelerator()
    yield _memory()
    yield _disk()
    yield _loopback()
    yield find_clock()


def _ids() -> Finding:
    """Check for subordinate ids (subuid(5)), with which mmdebstrap works without root."""
    if os.getuid() == 0:
        return Finding("subordinate ids", True, "root needs none")
    me = {str(os.getuid()), pwd.getpwuid(os.getuid()).pw_name}
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        owners = re.findall(r"^[^:]+", file.read_text(), re.MULTILINE) if file.exists() else []
        if not me & set(owners):
            return Finding("subordinate ids", False, f"{file} has none for you; {SETUP}")
    return Finding("subordinate ids", True, "/etc/subuid and /etc/subgid have some for you")


def _accelerator() -> Finding:
    try:
        chosen = choose_accelerator()
    except UserError as error:
        return Finding("KVM", False, str(error).rstrip("."))
    if os.environ.get("HATESTER_ACCEL", "auto") != "auto":
        return Finding("KVM", True, f"HATESTER_ACCEL is '{chosen}'")
    if chosen == "kvm":
        return Finding("KVM", True, "guests run under KVM")
    return Finding("KVM", True, f"guests are emulated, much slower: {_kvm_obstacle()}")


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    return Finding(
        "memory",
        available >= MEMORY_BYTES,
        f"{available / 2**30:.1f} GiB available, {MEMORY_BYTES / 2**30:.1f} GiB needed",
    )


def _disk() -> Finding:
    folder = cache.root()
    free = shutil.disk_usage(folder).free
    has_system = any((folder / "systems").glob("[!.]*"))
    needed = GUEST_DISK_BYTES if has_system else CACHE_DISK_BYTES + GUEST_DISK_BYTES
    text = f"{free / 2**30:.1f} GiB free in {folder}, {needed / 2**30:.1f} GiB needed"
    if free < needed:
        text += f"; {COMMAND} clean removes what was not used for long"
    return Finding("disk space", free >= needed, text)


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding("ports", True, "127.0.0.1 has free ones")
    except OSError as error:
        return Finding("ports", False, f"none can be had on 127.0.0.1: {error.strerror}")


def find_clock() -> Finding:
    """Return the clock of guests here, with its cost."""
    try:
        chosen = choose_engine()
    except UserError as error:
        return Finding("clock", False, str(error).rstrip("."))
    if not chosen.is_virtual:
        return Finding("clock", True, "real: guests live on the host's time")
    cost = "two processors each"
    if chosen.cpus == 1:
        cost = (
            "one processor each, on which HAProxy starts one thread (the setting `threads`: four);"
            f" two need QEMU {_FAIR_QEMU} or later"
        )
    text = f"virtual: what the host does meanwhile changes no result; {cost}"
    return Finding("clock", True, text)


def guests_at_once(engine: Engine) -> int:
    """Return how many guests this host has room for.

    On the host's clock, none may keep another's prober waiting: an emulated guest keeps more than
    one processor busy (docs/performance.md).
    """
    each = 2 if engine.accelerator == "tcg" and not engine.is_virtual else 1
    return max(1, min(process.processors() // each, has_memory_for()))


def has_memory_for() -> int:
    """Return the number of guests for which there is memory."""
    return psutil.virtual_memory().available // MEMORY_BYTES


def qemu_version() -> str:
    """Return the version of the QEMU that runs the guests."""
    return _version("qemu-system-x86_64")


def processor() -> list[str]:
    """Return the model and the features of this host's processor, as /proc/cpuinfo has them."""
    text = Path("/proc/cpuinfo").read_text()
    return sorted(
        set(re.findall(r"^(?:model name|stepping|microcode|flags)\s*:.*", text, re.MULTILINE))
    )


def require() -> None:
    """Raise UserError for the first thing that a run needs and this host lacks."""
    for finding in findings():
        if not finding.is_ok:
            raise UserError(f"{finding.name}: {finding.text}.")


def describe() -> dict[str, Any]:
    """Return this host, as `run.json` has it."""
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "qemu": qemu_version(),
        "vagrant": _version("vagrant"),
    }


def _version(command: str) -> str:
    """Return the first line that `--version` prints."""
    try:
        return process.run([command, "--version"], seconds=SECONDS).splitlines()[0]
    except process.CommandError as error:
        raise UserError(f"{command} does not work: {error}") from error
