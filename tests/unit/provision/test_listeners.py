"""The holders of a listening socket, in a made-up table of processes."""

from __future__ import annotations

import pytest

from provision.guest.kernel import ProcessTable
from provision.guest.listeners import Owners

BUILD, GUEST = 9, 1
"""File systems: of HAProxy's program, and of everybody else's."""


class MadeUpTable(ProcessTable):
    """Processes, by their PIDs: which program each runs, and which sockets it holds."""

    def __init__(self) -> None:
        self.disks = {1: GUEST}
        self.sockets: dict[int, set[str]] = {}
        self.looks = 0
        """How often the open files of processes were read."""
        self._last = 1
        self._followed_pids: set[int] = set()

    def start(self, pid: int, disk: int, *sockets: str) -> None:
        self.disks[pid], self.sockets[pid] = disk, set(sockets)
        self._last = pid

    def end(self, pid: int) -> None:
        del self.disks[pid], self.sockets[pid]

    def newest(self) -> str:
        return str(self._last)

    def all(self) -> set[int]:
        return set(self.disks)

    def disk_of(self, pid: int) -> int | None:
        return self.disks.get(pid)

    def holders(self, among: set[int]) -> dict[str, list[int]]:
        self.looks += 1
        found: dict[str, list[int]] = {}
        for pid in sorted(among & self.sockets.keys()):
            for each in self.sockets[pid]:
                found.setdefault(each, []).append(pid)
        return found

    def usage(self, pid: int) -> tuple[int, float, int] | None:
        return (4096, 0.5, len(self.sockets[pid])) if pid in self.sockets else None

    def follow(self, pid: int) -> bool:
        self._followed_pids.add(pid)
        return pid in self.disks

    def ended(self) -> list[int]:
        gone = self._followed_pids - self.disks.keys()
        self._followed_pids -= gone
        return sorted(gone)


@pytest.fixture
def table() -> MadeUpTable:
    return MadeUpTable()


@pytest.fixture
def owners(table: MadeUpTable) -> Owners:
    return Owners({BUILD}, table)


def test_haproxy_holds_its_sockets(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100", "101")
    table.start(8, BUILD, "100")
    assert owners.holders({"100", "101"}, 0.0) == {"100": [7, 8], "101": [7]}
    kinds = {pid: process["kind"] for pid, process in owners.processes.items()}
    assert kinds == {7: "haproxy", 8: "haproxy"}


def test_stranger_is_found_at_the_second_look(table: MadeUpTable, owners: Owners) -> None:
    """A socket on its way between two processes of HAProxy has no holder for a moment."""
    table.start(7, GUEST, "100")
    assert owners.holders({"100"}, 0.0) == {"100": []}
    assert owners.holders({"100"}, 0.05) == {"100": [7]}
    assert owners.processes[7]["kind"] == "stranger"


def test_socket_on_its_way_has_no_stranger(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100")
    owners.holders({"100"}, 0.0)
    table.sockets[7].clear()
    assert owners.holders({"100", "101"}, 0.05) == {"100": [], "101": []}
    table.start(8, BUILD, "100")
    assert owners.holders({"100"}, 0.1) == {"100": [8]}
    assert all(process["kind"] == "haproxy" for process in owners.processes.values())


@pytest.mark.parametrize(("seconds", "is_found"), [(0.9, True), (1.2, False)])
def test_new_process_may_become_haproxy(
    seconds: float, is_found: bool, table: MadeUpTable, owners: Owners
) -> None:
    owners.holders(set(), 0.0)
    table.start(7, GUEST)
    for moment in (0.1, 0.1 + seconds / 2, 0.1 + seconds - 0.001):
        owners.holders(set(), moment)
    owners.holders(set(), 0.1 + seconds)
    table.disks[7] = BUILD
    owners.holders(set(), 0.15 + seconds)
    assert (7 in owners.processes) is is_found


def test_process_lasts_from_first_to_last_sight(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100")
    for moment in (0.5, 1.0, 1.5):
        owners.holders({"100"}, moment)
    table.end(7)
    assert owners.holders({"100"}, 2.0) == {"100": []}
    entry = owners.processes[7]
    assert (entry["start"], entry["end"]) == (0.5, 1.5)


def test_files_are_read_only_when_something_changed(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100")
    for number in range(5):
        owners.holders({"100"}, number * 0.05)
    assert table.looks == 1
    owners.holders({"100"}, 0.26)
    assert table.looks == 2


def test_handed_over_socket_is_noticed_within_a_quarter_second(
    table: MadeUpTable, owners: Owners
) -> None:
    table.start(7, BUILD, "100")
    table.start(8, BUILD)
    owners.holders({"100"}, 0.0)
    table.sockets[7], table.sockets[8] = set(), {"100"}
    assert owners.holders({"100"}, 0.25) == {"100": [8]}


def test_use_of_haproxy_is_read_once_a_second(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100", "101")
    table.start(8, GUEST)
    for number in range(30):
        owners.holders({"100"}, number * 0.1)
    assert owners.usage == [(at, 7, 4096, 0.5, 2) for at in (0.0, 1.0, 2.0)]


def test_socket_is_kept_whether_it_listens_or_not(table: MadeUpTable, owners: Owners) -> None:
    table.start(7, BUILD, "100", "101")
    owners.holders({"100", "101"}, 0.0)
    owners.holders({"100"}, 0.05)
    assert (owners.keepers("101"), owners.keepers("102")) == ([7], [])
