"""The kernels that Debian's suites have, and which of them a declaration means."""

from __future__ import annotations

import re
from typing import Any

from hatester.artifacts.apt import Archive, debian
from hatester.matrix.suite_kernel import IMAGE, Kernels, SuiteKernel, flavour_of
from hatester.util.versions import debian_order

_KERNEL = re.compile(rf"{IMAGE}(?P<release>[0-9].*-amd64)")
"""Of the packages that are a kernel: neither its debugging symbols nor an unsigned one."""


def suite_kernels(archive: Archive, suite: str) -> list[SuiteKernel]:
    """All kernels of a suite, from the oldest to the newest.

    Raises MeasurementError when the mirror has no such suite, and UserError without network.
    """
    kernels = [
        SuiteKernel(found["release"], version, flavour_of(found["release"]))
        for name, version in archive.versions(suite, IMAGE)
        if (found := _KERNEL.fullmatch(name))
    ]
    return sorted(kernels, key=lambda each: (debian_order(each.version), each.flavour))


def kernels_of(settings: Any) -> Kernels:
    """Which kernels the mirror has, for who asks; nobody does whose kernels are all declared."""
    return lambda suite: suite_kernels(debian(settings), suite)
