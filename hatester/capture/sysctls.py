"""The sysctls of a host that are its own: set by its files, or different from Linux's defaults.

The defaults of a host's kernel cannot be read. So these are taken, each with the value in force:

- the sysctls below net. that a file sets, by the rules of sysctl.d(5) and in /etc/sysctl.conf,
  which Debian applies too. A file in an earlier folder takes the place of one of the same name in a
  later folder. A pattern such as net.ipv4.conf.*.rp_filter names all that it matches;
- those of DEFAULTS whose value is not the one that Linux documents.

Not taken: those of one interface (net.ipv4.conf.eth0, net.ipv4.neigh), those that hold secrets
(net.ipv4.tcp_fastopen_key), and values that are neither numbers nor names of Linux's own. A default
that depends on memory, such as tcp_max_syn_backlog, has no place in DEFAULTS.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from hatester.util.versions import is_older

FOLDERS = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
LAST = "/etc/sysctl.conf"

IN_FORCE = (
    r"find /proc/sys/net -type f ! -path '*/neigh/*'"
    r" \( ! -path '*/conf/*' -o -path '*/conf/all/*' -o -path '*/conf/default/*' \)"
    r" -exec grep -sH '' {} + || true"
)
"""A command that lists the readable sysctls in force, as `FILE:VALUE`."""

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "net.core.netdev_max_backlog": ("1000",),
    "net.core.somaxconn": ("128", "5.4", "4096"),
    "net.ipv4.conf.all.arp_announce": ("0",),
    "net.ipv4.conf.all.arp_ignore": ("0",),
    "net.ipv4.ip_forward": ("0",),
    "net.ipv4.ip_local_port_range": ("32768 60999",),
    "net.ipv4.ip_local_reserved_ports": ("",),
    "net.ipv4.ip_nonlocal_bind": ("0",),
    "net.ipv4.ip_unprivileged_port_start": ("1024",),
    "net.ipv4.tcp_abort_on_overflow": ("0",),
    "net.ipv4.tcp_fastopen": ("1",),
    "net.ipv4.tcp_fin_timeout": ("60",),
    "net.ipv4.tcp_migrate_req": ("0",),
    "net.ipv4.tcp_syn_retries": ("6",),
    "net.ipv4.tcp_synack_retries": ("5",),
    "net.ipv4.tcp_syncookies": ("1",),
    "net.ipv4.tcp_tw_reuse": ("0", "4.19", "2"),
    "net.ipv6.bindv6only": ("0",),
    "net.ipv6.conf.all.disable_ipv6": ("0",),
    "net.ipv6.ip_nonlocal_bind": ("0",),
}
"""Linux's defaults of sysctls that matter to addresses, ports and queues. Where a release changed
one: the old default, that release, the new default (Documentation/networking/ip-sysctl.rst and
admin-guide/sysctl/net.rst of the kernel)."""

_SETTING = re.compile(r"^[ \t]*(?:-[ \t]*)?(?P<name>[^\s=#;]+)[ \t]*=", re.MULTILINE)
_SECRET = re.compile(r"secret|_key$")
_VALUE = re.compile(
    r"-?\d{1,20}(?: -?\d{1,20}){0,5}|\d{1,5}-\d{1,5}(?:,\d{1,5}(?:-\d{1,5})?)*"
    r"|bbr|cubic|dctcp|htcp|reno|vegas|westwood|cake|fq|fq_codel|fq_pie|pfifo_fast|noqueue|sfq"
)
"""Numbers, ranges of ports, and names of Linux's own (tcp_congestion_control, default_qdisc)."""
_NAME = re.compile(r"net(\.[A-Za-z0-9_-]+)+")


def applied_files(folders: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the files that are applied, by the names in each of FOLDERS."""
    files: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        for name in folders.get(folder, ()):
            if name.endswith(".conf"):
                files[name] = f"{folder}/{name}"
    return [*files.values(), LAST]


def values(listed: str) -> dict[str, str]:
    """Return the sysctls in force by name, as IN_FORCE printed them; of several lines the first."""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        file, _, value = line.removeprefix("/proc/sys/").partition(":")
        name = file.replace("/", ".")
        if _NAME.fullmatch(name) and not _SECRET.search(name):
            found.setdefault(name, " ".join(value.split()))
    return found


def own(texts: Iterable[str], in_force: Mapping[str, str], release: str) -> dict[str, str]:
    """Return the host's own sysctls with the values in force.

    `texts` are those of its files, and `release` is its kernel's.
    """
    named = {_with_dots(name) for text in texts for name in _SETTING.findall(text)}
    patterns = [name for name in named if any(each in name for each in "*?[")]
    return {
        name: value
        for name, value in sorted(in_force.items())
        if _VALUE.fullmatch(value)
        and (
            name in named
            or any(_matches(name, pattern) for pattern in patterns)
            or _differs(name, value, release)
        )
    }


def _with_dots(name: str) -> str:
    """Return a name with dots; if a slash separates first, dots are in parts (sysctl.d(5))."""
    first = re.search(r"[./]", name)
    return name.replace("/", ".") if first and first[0] == "/" else name


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _differs(name: str, value: str, release: str) -> bool:
    match DEFAULTS.get(name):
        case (default,):
            return value != default
        case (before, first, after):
            return value != (before if is_older(release, first) else after)
    return False
