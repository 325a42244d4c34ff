"""Facts read from a kernel's files: its release, and the order in which its modules are loaded.

The release is in the header of a kernel for x86 (Documentation/arch/x86/boot.rst of Linux). The
order is in modules.dep(5); a guest has no modprobe yet when it loads them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hatester.util.errors import MeasurementError, UserError

_BEGINNING = 0x10000
"""Bytes that have the header, and the version to which it points."""
_MAGIC, _MAGIC_AT = b"HdrS", 0x202
_VERSION_AT, _VERSION_FROM = 0x20E, 0x200
_RELEASE = re.compile(rb"[0-9][!-.0-~]{0,63}")


def load_order(modules: Path, names: Sequence[str]) -> list[str]:
    """Return the module files to load for `names`, each after those that it needs.

    Built-in ones are left out. Raises MeasurementError when the kernel lacks one of `names`.
    """
    needs = _needs(modules)
    by_name = {module_name(path): path for path in needs}
    built_in = {module_name(path) for path in _lines(modules / "modules.builtin")}
    soft = _soft_needs(modules, by_name)
    order: dict[str, None] = {}
    for name in names:
        if name in by_name:
            for path in _with_needs(by_name[name], needs, soft):
                order[path] = None
        elif name not in built_in:
            raise MeasurementError(f"the kernel {modules.name} has no {name}")
    return list(order)


def module_name(path: str) -> str:
    """Return the name of a module by its file, compressed or not."""
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def _with_needs(
    path: str, needs: Mapping[str, Sequence[str]], soft: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield a module after all that it needs, and after its softdeps (modprobe.d(5)).

    Without the one for a checksum, ext4 mounts nothing.
    """
    for need in (*needs[path], path):
        for asked in soft.get(module_name(need), ()):
            yield from needs[asked]
            yield asked
        yield need


def _needs(modules: Path) -> dict[str, list[str]]:
    """Return the module files that each one needs, in the order in which they are loaded."""
    needs = {}
    for line in _lines(modules / "modules.dep"):
        path, _, dependencies = line.partition(":")
        # modules.dep has the nearest dependency first.
        needs[path] = dependencies.split()[::-1]
    return needs


def _soft_needs(modules: Path, by_name: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the module files that each module asks for, as far as they exist."""
    aliases = defaultdict(list)
    for line in _lines(modules / "modules.alias"):
        alias, _, name = line.removeprefix("alias ").partition(" ")
        aliases[alias.replace("-", "_")].append(name)
    soft = {}
    for line in _lines(modules / "modules.softdep"):
        name, _, asked = line.removeprefix("softdep ").partition(" pre: ")
        wanted = [each.replace("-", "_") for each in asked.partition(" post: ")[0].split()]
        meant = [name for each in wanted for name in (each, *aliases[each])]
        soft[name] = [by_name[each] for each in meant if each in by_name]
    return soft


def _lines(file: Path) -> list[str]:
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return [line for line in lines if not line.startswith("#")]


def kernel_release(file: Path) -> str:
    """Return the release of a kernel for x86, as `uname -r` gives it.

    Raises UserError for a file that cannot be read, and MeasurementError for another one.
    """
    try:
        with file.open("rb") as kernel:
            header = kernel.read(_BEGINNING)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    if header[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise MeasurementError(f"{file} is not a kernel that can be booted (a bzImage for x86)")
    at = int.from_bytes(header[_VERSION_AT : _VERSION_AT + 2], "little")
    found = _RELEASE.match(header, _VERSION_FROM + at) if at else None
    if not found:
        raise MeasurementError(f"{file} does not say which version of Linux it is")
    return found[0].decode()
