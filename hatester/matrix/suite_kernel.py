"""Kernels of Debian's suites, and which of them a declaration means."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hatester.matrix.models import FLAVOURS, Kernel
from hatester.util.errors import MeasurementError
from hatester.util.versions import matches

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
    """Where kernels are looked up that are not declared; nothing is, while all are."""

    of_suite: Callable[[str], Sequence[SuiteKernel]]
    """Returns the kernels of a suite; raises as `suite_kernels` does."""
    local_release: Callable[[Kernel], str]
    """Returns the release of a kernel of local files; raises as `local_release` does."""


def is_release(version: str | None) -> bool:
    """Whether it is the whole of what `uname -r` says (or a pattern of that) on one of Debian's
    kernels, which has the flavour in it."""
    return version is not None and version.endswith("-amd64")


def flavour_of(release: str) -> str:
    """The flavour of which a release is."""
    ends = [name for name, ending in FLAVOURS.items() if release.endswith(ending)]
    return max(ends, key=lambda name: len(FLAVOURS[name]))


def is_match(kernel: Kernel, release: str) -> bool:
    """Whether a release is one of those for which a pattern stands."""
    is_flavour = is_release(kernel.version) or flavour_of(release) == kernel.flavour
    return is_flavour and fnmatch.fnmatchcase(release, kernel.version or "")


def fitting(kernel: Kernel, there: Sequence[SuiteKernel]) -> list[SuiteKernel]:
    """Those of a suite's kernels that a declaration means: all that match a pattern, else the
    newest one that fits.

    Raises MeasurementError when there is none, with what is closest.
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
