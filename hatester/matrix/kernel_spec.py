"""Kernels that the flag --kernel names, or describes by their origin."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hatester.matrix.declarations import FLAVOURS, Kernel, Matrix
from hatester.matrix.plan import Wanted
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import is_there
from hatester.util.text import brief, file_name
from hatester.util.validation import checked, require
from hatester.util.versions import matches

FLAG = "--kernel"
SNAPSHOT = "snapshot:"
_REFERENCE = re.compile(r"/|\.deb$|^[a-z][a-z-]*(:|$)")
IMAGE = "linux-image-"
_SOME = 4
_CLOSE = 0.4


@dataclass(frozen=True)
class SuiteKernel:
    """A kernel of a suite: its release as of `uname -r`, its package's version, its flavour."""

    release: str
    version: str
    flavour: str

    @property
    def package(self) -> str:
        return IMAGE + self.release


@dataclass(frozen=True)
class Kernels:
    """Look-ups of kernels. They are not called when every kernel is declared."""

    of_suite: Callable[[str], Sequence[SuiteKernel]]
    """Returns the kernels of a suite; raises as `suite_kernels` does."""
    local_release: Callable[[Kernel], str]
    """Returns the release of a kernel of local files; raises as `local_release` does."""


def is_release(version: str | None) -> bool:
    """Return True for a whole `uname -r`, or a pattern of it, of one of Debian's kernels.

    It has the flavour in it.
    """
    return version is not None and version.endswith("-amd64")


def flavour_of(release: str) -> str:
    """Return the flavour of a release."""
    ends = [name for name, ending in FLAVOURS.items() if release.endswith(ending)]
    return max(ends, key=lambda name: len(FLAVOURS[name]))


def is_match(kernel: Kernel, release: str) -> bool:
    """Return whether a pattern stands for a release, among others."""
    is_flavour = is_release(kernel.version) or flavour_of(release) == kernel.flavour
    return is_flavour and fnmatch.fnmatchcase(release, kernel.version or "")


def fitting(kernel: Kernel, there: Sequence[SuiteKernel]) -> list[SuiteKernel]:
    """Return the kernels of a suite that a declaration means: all of a pattern, or the newest.

    Raises MeasurementError if there is none, with the closest ones.
    """
    if kernel.is_pattern:
        found = [each for each in there if is_match(kernel, each.release)]
    elif is_release(kernel.version):
        found = [each for each in there if each.release == kernel.version]
    else:
        found = [
            each
            for each in there
            if each.flavour == kernel.flavour and matches(each.version, kernel.version)
        ][-1:]
    if not found:
        raise MeasurementError(_lack(kernel, there))
    return found


def _lack(kernel: Kernel, there: Sequence[SuiteKernel]) -> str:
    is_any = is_release(kernel.version)
    what = "kernel" if is_any else f"{kernel.flavour} kernel"
    releases = [each.release for each in there if is_any or each.flavour == kernel.flavour]
    wanted = f" {kernel.version}" if kernel.version else ""
    lack = f"suite {kernel.suite} has no {what}{wanted}"
    close = difflib.get_close_matches(wanted, releases, n=_SOME, cutoff=_CLOSE)
    known = sorted(close, key=releases.index) or releases[-_SOME:]
    if not known:
        return lack
    more = f" and {len(releases) - len(known)} more" if len(releases) > len(known) else ""
    return f"{lack} (there are: {', '.join(known)}{more})"


@dataclass(frozen=True)
class _Chosen:
    """A single kernel, by the name that cells have for it.

    `reference` is what --kernel takes for just this one; empty for one that is declared.
    """

    name: str
    kernel: Kernel
    reference: str = ""


def with_kernels(matrix: Matrix, wanted: Wanted, kernels: Kernels) -> tuple[Matrix, Wanted]:
    """Return the matrix with all kernels that are selected, and the selection by their names.

    A pattern becomes the kernels that match it. `kernels` is asked only for patterns and for
    kernels that are not declared. Raises UserError for a word that leads to no kernel.
    """
    words = [*wanted.kernels] or [name for each in matrix.selections for name in each.kernels]
    chosen = {word: _choose(matrix, word, kernels) for word in dict.fromkeys(words)}

    def names(given: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.name for word in given for each in chosen[word]))

    if not wanted.kernels:
        selections = [
            each.model_copy(update={"kernels": names(each.kernels)}) for each in matrix.selections
        ]
        matrix = replace(matrix, selections=tuple(selections))
    found = [each for word in chosen.values() for each in word]
    return _extend(matrix, found), replace(wanted, kernels=names(wanted.kernels))


def with_names(matrix: Matrix, names: Iterable[str], references: Mapping[str, str]) -> Matrix:
    """Return the matrix with the kernels of cells.

    They are declared, match a declared pattern, or have a reference. A kernel without any of these
    is left out.
    """
    found = []
    for name in set(names) - set(matrix.kernels):
        if kernel := _of_pattern(matrix, name):
            found.append(_Chosen(name, kernel))
        elif name in references:
            found.append(_Chosen(name, parse(references[name]), references[name]))
    return _extend(matrix, found)


def _extend(matrix: Matrix, found: Iterable[_Chosen]) -> Matrix:
    """Return the matrix with further kernels. Raises UserError for two kernels of one name."""
    kernels, references = dict(matrix.kernels), dict(matrix.described_kernels)
    for each in found:
        if kernels.setdefault(each.name, each.kernel) != each.kernel:
            raise UserError(
                f"{FLAG}: there are two different kernels by the name {each.name}; declare one of "
                "them in matrix/kernels.yml, by a name of its own."
            )
        if each.reference:
            references[each.name] = each.reference
    return replace(matrix, kernels=kernels, described_kernels=references)


def _choose(matrix: Matrix, word: str, kernels: Kernels) -> list[_Chosen]:
    declared = matrix.kernels.get(word) or _of_pattern(matrix, word)
    if declared and declared.is_pattern:
        place = f"{matrix.folder / 'kernels.yml'}: {word}"
        return [_Chosen(each.name, each.kernel) for each in _of_suite(declared, kernels, place)]
    if declared:
        return [_Chosen(word, declared)]
    if not _REFERENCE.search(word):
        require(word, matrix.kernels, FLAG)
    kernel = parse(word)
    if kernel.suite:
        names = "" if ":" in word else f" ({', '.join(matrix.kernels)} are declared)"
        return _of_suite(kernel, kernels, f"{FLAG} {brief(word)}{names}")
    try:
        name = kernel.snapshot or file_name(kernels.local_release(kernel))
    except MeasurementError as error:
        raise UserError(f"{FLAG} {brief(word)}: {error}.") from error
    return [_Chosen(name, kernel, _reference(kernel))]


def _of_suite(kernel: Kernel, kernels: Kernels, place: str) -> list[_Chosen]:
    """Return the fitting kernels of a suite. Raises UserError, which begins with `place`."""
    try:
        found = fitting(kernel, kernels.of_suite(kernel.suite or ""))
    except MeasurementError as error:
        raise UserError(f"{place}: {error}.") from error
    if not kernel.is_pattern and not is_release(kernel.version):
        flavour = "" if kernel.flavour == Kernel.model_fields["flavour"].default else kernel.flavour
        name = "-".join(filter(None, (kernel.suite, kernel.version, flavour)))
        return [_Chosen(file_name(name), kernel, _reference(kernel))]
    singles = [_single(kernel, each.release) for each in found]
    return [_Chosen(file_name(each.version or ""), each, _reference(each)) for each in singles]


def _of_pattern(matrix: Matrix, name: str) -> Kernel | None:
    """Return the kernel of a release that matches a declared pattern."""
    for kernel in matrix.kernels.values():
        if kernel.is_pattern and is_release(name) and is_match(kernel, name):
            return _single(kernel, name)
    return None


def _single(kernel: Kernel, release: str) -> Kernel:
    """Return the declaration of a single release from that of several kernels."""
    return kernel.model_copy(update={"version": release, "flavour": flavour_of(release)})


def parse(word: str) -> Kernel:
    """Parse a word that is not a declared name. Raises UserError for a wrong one.

    It is SUITE, SUITE:VERSION, SUITE:VERSION:FLAVOUR, snapshot:RELEASE, or the path of a package,
    of a folder of packages, or of a kernel's file.
    """
    if "://" in word:
        raise UserError(
            f"{FLAG} {brief(word)}: it takes no URL. Fetch the file, and name its path."
        )
    if "/" in word or word.endswith(".deb"):
        kernel = _parse_kernel(word, packages=[word])
        is_kernel = not word.endswith(".deb") and is_there(kernel.packages[0], Path.is_file)
        return _parse_kernel(word, vmlinuz=word) if is_kernel else kernel
    if word.startswith(SNAPSHOT):
        kernel = _parse_kernel(word, snapshot=word.removeprefix(SNAPSHOT))
        if not is_release(kernel.snapshot):
            raise UserError(
                f"{FLAG} {brief(word)}: expected a release as of `uname -r`, such as "
                f"{SNAPSHOT}6.1.0-18-amd64."
            )
        return kernel
    suite, version, flavour, *more = [*word.split(":"), "", ""]
    if any(more):
        raise UserError(f"{FLAG} {brief(word)}: of a suite it takes SUITE:VERSION:FLAVOUR.")
    further = {"version": version, "flavour": flavour}
    kernel = _parse_kernel(
        word, suite=suite, **{key: each for key, each in further.items() if each}
    )
    is_single = is_release(version) and not kernel.is_pattern
    return _single(kernel, version) if is_single else kernel


def _parse_kernel(word: str, **content: object) -> Kernel:
    return checked(content, Kernel, f"{FLAG} {brief(word)}", Path.cwd())


def _reference(kernel: Kernel) -> str:
    """Return the word that leads to a kernel from any folder."""
    if kernel.snapshot:
        return SNAPSHOT + kernel.snapshot
    if not kernel.suite:
        return str(kernel.vmlinuz or kernel.packages[0])
    flavour = "" if is_release(kernel.version) else kernel.flavour
    return ":".join((kernel.suite, kernel.version or "", flavour)).rstrip(":")
