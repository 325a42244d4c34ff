"""The kernel's own view and services: processes, listening sockets, counters, mounts."""

from __future__ import annotations

import ctypes
import os
import re
import select
import socket
from collections.abc import Iterable
from pathlib import Path

LISTENERS = {"/proc/net/tcp": socket.AF_INET, "/proc/net/tcp6": socket.AF_INET6}
"""The kernel's tables of TCP sockets (proc_pid_net(5))."""
# The first line that is not of TCP_LISTEN (include/net/tcp_states.h).
_OTHER = re.compile(rb"\n *\d+: \S+ \S+ (?!0A)\w\w ")
_ACCEPTING = 1 << 16  # __SO_ACCEPTCON of include/uapi/linux/net.h
_TEMPORARY = re.compile(r"\.\d+\.tmp$")
_CHUNK = 1200  # the heading and seven sockets


def pids() -> set[int]:
    """Return the PIDs of all processes."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208


def disk(path: str) -> int | None:
    """Return the number of the file system that a path leads to (stat(2)), or None.

    Each build has a file system of its own, so this identifies a process's program, whatever its
    root is. HAProxy can change its root (`chroot`), and systemd gives a unit's processes a mount
    namespace with other paths.
    """
    try:
        return os.stat(path).st_dev  # noqa: PTH116
    except OSError:
        return None


def disk_of(pid: int) -> int | None:
    """Return the file system of a process's program (proc_pid_exe(5)).

    It is None for a process that has ended, and for the kernel's own.
    """
    return disk(f"/proc/{pid}/exe")


def disks_of_build(tree: Path) -> set[int | None]:
    """Return the numbers of the file systems of a build's HAProxy.

    They are not the one of its root, where an overlay lies over it (the kernel's
    Documentation/filesystems/overlayfs.rst, section Inode properties): one has the files of the
    build, the other those that every cell writes, and an upgrade.
    """
    return {disk(f"{tree}/usr/sbin/haproxy"), disk(f"{tree}/etc/hosts")} - {None}


class ProcessTable:
    """The guest's processes, for code that looks often."""

    def __init__(self) -> None:
        self._load = os.open("/proc/loadavg", os.O_RDONLY)
        self._ends = select.poll()
        self._followed: dict[int, int] = {}

    def newest(self) -> str:
        """Return the PID that was given last (proc_loadavg(5))."""
        return os.pread(self._load, 100, 0).split()[-1].decode()

    def all(self) -> set[int]:
        """Return the PIDs of all."""
        return pids()

    def disk_of(self, pid: int) -> int | None:
        """Return the file system of a process's program (`disk_of`)."""
        return disk_of(pid)

    def holders(self, among: set[int]) -> dict[str, list[int]]:
        """Return which of these processes hold each socket (`holders`)."""
        return holders(among)

    def usage(self, pid: int) -> tuple[int, float, int] | None:
        """Return the use that a process makes of the guest (`usage`)."""
        return usage(pid)

    def follow(self, pid: int) -> bool:
        """Have the kernel report a process's end (pidfd_open(2)); True if it still runs.

        That is cheaper than looking for it each time.
        """
        try:
            file = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        self._ends.register(file, select.POLLIN)
        self._followed[file] = pid
        return True

    def ended(self) -> list[int]:
        """Return the followed processes that have ended since the last call."""
        files = [file for file, _ in self._ends.poll(0)]
        for file in files:
            self._ends.unregister(file)
            os.close(file)
        return [self._followed.pop(file) for file in files]


def holders(among: Iterable[int]) -> dict[str, list[int]]:
    """Return the processes that hold each socket, by its inode's number (proc_pid_fd(5))."""
    found: dict[str, list[int]] = {}
    for pid in sorted(among):
        try:
            links = {_link(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208
        except OSError:  # it has ended
            continue
        for link in links:
            if link.startswith("socket:["):
                found.setdefault(link[8:-1], []).append(pid)
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except FileNotFoundError:  # it was closed in between
        return ""


_TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def usage(pid: int) -> tuple[int, float, int] | None:
    """Return a process's bytes in memory, processor seconds and open files; None if it has ended.

    They are fields 24, and 14 with 15, of proc_pid_stat(5), and proc_pid_fd(5).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except OSError:
        return None
    seconds = (int(fields[11]) + int(fields[12])) * _TICK_SECONDS
    return int(fields[21]) * _PAGE_BYTES, seconds, files


def is_asleep(pid: int) -> bool:
    """Return whether a process waits for something, or has ended (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "R"
    except OSError:
        return True


def program(pid: int) -> str:
    """Return the name of a process's program (proc_pid_comm(5)); empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def listening_places() -> set[tuple[str, int]]:
    """Return address and port of every listening TCP socket."""
    return {(address, port) for address, port, _ in listening_sockets()}


def listening_sockets() -> list[tuple[str, int, str]]:
    """Return address, port and inode of every listening TCP socket."""
    found = []
    for path, family in LISTENERS.items():
        with open(path, "rb", buffering=0) as table:  # noqa: PTH123  # it is read in parts
            for line in listening(table.fileno()).decode().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                found.append((_address(address, family), int(port, 16), fields[9]))
    return found


def listening(table: int) -> bytes:
    """Return the heading and the listening sockets of an open table of LISTENERS.

    The kernel lists listening sockets first (tcp4_seq_show of net/ipv4/tcp_ipv4.c), and prints no
    more than it is asked for. There may be thousands of others.
    """
    found = b""
    while chunk := os.pread(table, _CHUNK, len(found)):
        found += chunk
        if other := _OTHER.search(found):
            return found[: other.start()]
    return found


def unix_sockets() -> list[tuple[str, str]]:
    """Return name and inode of every listening UNIX socket that has a name (proc_pid_net(5)).

    The name is a path, or `abns@NAME` in the abstract namespace. HAProxy binds a path under another
    name, which stays the kernel's (`uxst_bind_listener()` of src/proto_uxst.c).
    """
    found = []
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _ACCEPTING:
            name = _TEMPORARY.sub("", fields[7])
            found.append((f"abns@{name.strip('@')}" if name[0] == "@" else name, fields[6]))
    return found


def datagram_sockets() -> list[tuple[str, str]]:
    """Return place and inode of every UDP socket that takes datagrams from anyone.

    A place is as `printed` returns it. A socket of one connection is in another state than
    TCP_CLOSE (include/net/tcp_states.h).
    """
    found = []
    for path in ("/proc/net/udp", "/proc/net/udp6"):
        if Path(path).exists():
            fields = [line.split() for line in Path(path).read_text().splitlines()[1:]]
            found += [(each[1], each[9]) for each in fields if each[3] == "07"]
    return found


def _address(digits: str, family: int) -> str:
    """Return an address that the kernel prints as 32-bit words in the host's byte order."""
    words = [digits[start : start + 8] for start in range(0, len(digits), 8)]
    packed = b"".join(int(word, 16).to_bytes(4, "little") for word in words)
    return socket.inet_ntop(family, packed)


def printed(address: str, port: int) -> str:
    """Return an address and a port as /proc/net/tcp and tcp6 print them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
    return "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words) + f":{port:04X}"


COUNTERS = (
    "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPMigrateReqSuccess",
    "TcpExt.TCPMigrateReqFailure",
    "TcpExt.TCPAbortOnClose",
    "Tcp.OutRsts",
    "Tcp.EstabResets",
    "Tcp.AttemptFails",
)
"""Those of /proc/net/snmp and /proc/net/netstat (proc_pid_net(5), net/ipv4/proc.c) that
reveal lost connections. An older kernel lacks some."""


def read_counters() -> dict[str, int]:
    """Return the value of each of COUNTERS that this kernel has."""
    found = {}
    for file in ("snmp", "netstat"):
        lines = Path("/proc/net", file).read_text().splitlines()
        # Names and values are two lines, which begin alike: `Tcp:`, `TcpExt:`.
        for names, values in zip(lines[::2], lines[1::2]):
            group, *keys = names.split()
            for key, value in zip(keys, values.split()[1:]):
                found[f"{group[:-1]}.{key}"] = int(value)
    return {name: found[name] for name in COUNTERS if name in found}


def counter_growth(before: dict[str, int]) -> dict[str, int]:
    """Return the growth of each counter since `before` was read."""
    return {name: count - before[name] for name, count in read_counters().items()}


_LIBRARY = ctypes.CDLL(None, use_errno=True)
_MS_BIND = 4096  # mount(2)


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library; return its result. Raises OSError when it fails."""
    result: int = getattr(_LIBRARY, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(kind: str, place: Path) -> None:
    """Mount a file system of the kernel's own, such as proc."""
    call("mount", b"hatester", os.fsencode(place), kind.encode(), ctypes.c_ulong(0), None)


def mount_over(place: Path, changes: Path) -> None:
    """Mount an overlay on a folder: writes go to `changes`, which must be empty.

    See the kernel's Documentation/filesystems/overlayfs.rst.
    """
    upper, work = changes / "upper", changes / "work"
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={place},upperdir={upper},workdir={work}"
    call("mount", b"hatester", os.fsencode(place), b"overlay", ctypes.c_ulong(0), options.encode())


def bind(source: Path, place: Path) -> None:
    call("mount", os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(_MS_BIND), None)


def unmount(place: Path) -> None:
    call("umount2", os.fsencode(place), 0)
