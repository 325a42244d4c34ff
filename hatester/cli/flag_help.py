"""The choices of flags; the help of those that several commands have, and of those of `matrix`."""

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
SHARD = (
    "A part of the plan, such as 1/3: the first of three. Each machine measures one of them, and "
    "`invoke merge` makes one run of all. A part of a small plan may be empty, and ends with 0."
)
CLOCK = (
    "The source of a guest's time: the instructions that it executes (virtual, which emulates it), "
    "or the host's time (real); auto, the default, is virtual where guests are emulated."
)
JSON = "As JSON."
QUIET = "Print only the result; log only warnings and errors."
VERBOSE = "Log every command on the host and in the guests, ready to be pasted."
MATRIX = {
    "shard": SHARD,
    "repeat": "Measurements of each cell, with the seeds from 0 on (1 is the default).",
    "seed": SEED,
    "clock": CLOCK,
    "probe_interval": "Time between two probes of an address, such as 20ms (the default) or 0.05s.",
    "client": "Clients beside the prober: keep-alive or sessions, with a number of connections per "
    "address as in sessions=4, or tls (repeatable).",
    "load": "A load of fresh connections beside the prober, such as 500/s.",
    "jobs": "Guests at once; 0, the default: as many as this host has room for.",
    "time_limit": "End in order after such a time: 90s, 45m, 1h30m; --resume measures the rest.",
    "keep": "Guests to keep afterwards: never, failed (those with a cell that could not be "
    "measured) or always.",
    "resume": "Finish the newest run, if it was interrupted.",
    "failed": "Like --resume, and measure again cells that could not be measured; with "
    "--failed=all, all cells that were not ok.",
    "config": "A configuration of your own, instead of scenarios: each address that it binds is "
    "lost in turn, and HAProxy reloaded.",
    "after": "The configuration that is loaded next, instead of --config's again.",
    "file": "A file that the configuration names, as PATH=LOCAL: its path for HAProxy, and the one "
    "here (repeatable).",
    "env": "A variable of HAProxy's environment, as NAME=VALUE (repeatable).",
    "advise": "With --config, also measure settings that may help if an address is missing: "
    "nonlocal-bind and transparent; --no-advise does not.",
    "host": "A host that `invoke capture` has captured: guests like it, and its configuration as "
    "with --config.",
    "expect": "A run (its name or folder), or a YAML file of patterns over cell ids and verdicts, "
    "that this run must agree with.",
    "table_format": TABLE_FORMAT,
    "dry_run": "List the cells and estimate the run, as `invoke plan` does; boot nothing.",
    "quiet": QUIET,
    "verbose": VERBOSE,
}
"""The help of `matrix`, beside that of SELECT."""
