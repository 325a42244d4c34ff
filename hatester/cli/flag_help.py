"""The choices of flags, and help that several commands have."""

from __future__ import annotations

CHOICES = {
    "method": ("signal", "cli", "systemd", "soft-finish"),
    "flavour": ("cloud", "generic", "rt"),
    "clock": ("auto", "virtual", "real"),
    "keep": ("never", "failed", "always"),
    "bad": ("lossy", "outage", "down"),
    "table_format": ("plain", "simple", "github", "grid", "tsv", "html"),
    "bench part": ("starts", "cells", "clock", "matrix", "instead"),
    "clean part": (
        "ready", "kernels", "systems", "builds", "images", "downloads", "apt", "snapshot",
        "leftovers", "results",
    ),
    "list kind": (
        "kernels", "builds", "settings", "scenarios", "matrices", "hosts", "runs", "all",
    ),
    "init kind": ("scenario", "matrix", "expectation"),
}  # fmt: skip
"""The values that a flag takes, or that of one command does.

They stand here so that help and completion need not import the modules that verify them.
"""


def listed(flag: str) -> str:
    """Return the choices of a flag, for its help."""
    return ", ".join(CHOICES[flag])


DESCRIBED = (
    "a Debian suite, a path (with a slash) of a binary, one of a .deb file, or an image, such as "
    "sid, sid:3.2.26-1, ~/haproxy/haproxy, docker://haproxy:1.8.26 or oci:layout:tag"
)
KERNEL = (
    "A kernel of matrix/kernels.yml; or SUITE, SUITE:VERSION (also a pattern), "
    "SUITE:VERSION:FLAVOUR, snapshot:RELEASE, or the path of a package, a folder of packages or a "
    "vmlinuz"
)
SELECT = {
    "matrix": "A matrix file, which selects the cells: default, full, or one of your own.",
    "kernel": f"{KERNEL}, instead of the default ones (repeatable).",
    "haproxy": "A build of matrix/haproxy.yml, instead of the default ones, or "
    f"{DESCRIBED} (repeatable).",
    "upgrade_to": "A build to which the scenarios' steps `upgrade` go, described like one of "
    "--haproxy (repeatable).",
    "setting": "A setting of matrix/settings.yml, instead of the default ones (repeatable).",
    "scenario": "A folder of matrix/scenarios, instead of the default ones (repeatable).",
    "method": f"A reload method: {listed('method')} (repeatable).",
    "only": "Only cells whose id matches a pattern, such as '6.1/*/plain/*' (repeatable).",
    "skip": "No cells whose id matches a pattern (repeatable).",
}
NAMES = ["kernel", "haproxy", "upgrade_to", "setting", "scenario", "method", "only", "skip"]
TABLE_FORMAT = f"The format of tables, by tabulate's names: {listed('table_format')}, ..."
SEED = (
    "A seed, which decides everything that chance would decide: the same seed, the same result "
    "(repeatable)."
)
CLOCK = (
    "The source of a guest's time: the instructions that it executes (virtual, which emulates it), "
    "or the host's time (real); auto, the default, is virtual where guests are emulated."
)
JSON = "As JSON."
QUIET = "Print only the result; log only warnings and errors."
VERBOSE = "Log every command on the host and in the guests, ready to be pasted."
