"""The cache and the results, bounded: what is old goes, and nothing that somebody needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts import builder, cache
from hatester.artifacts.apt import Archive
from hatester.artifacts.gc import PARTS, Fate, Item, Swept, clean
from hatester.artifacts.mirrors import Mirrors
from hatester.commands.artifacts import age, cleaned, size
from hatester.guests.machines import find_roots
from hatester.matrix.declarations import load_matrix
from hatester.util import locks
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from tests.factories.cache import (
    BUILD,
    DAY,
    GONE,
    KERNEL,
    OTHER,
    SYSTEM,
    date,
    empty_cache,
    kept,
    names,
    saved_guest,
    swept,
)
from tests.factories.cells import ID, shown, stored

GOLDEN = Path(__file__).parents[1] / "resources/clean.txt"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_cache(tmp_path, monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_what_was_not_used_for_so_long_goes_and_keys_never_do(root: Path, results: Path) -> None:
    kept(f"kernels/{KERNEL}", 31, vmlinuz="x")
    kept(f"kernels/{OTHER}", 29, vmlinuz="x")
    kept("keys/guests", 400, id_ed25519="x")
    file = root / "downloads" / ("0" * 64)
    file.parent.mkdir()
    file.touch()
    date(file, 31)
    assert swept(results) == {
        f"kernels/{KERNEL}": GONE,
        f"kernels/{OTHER}": "too young",
        f"downloads/{'0' * 64}": GONE,
    }
    assert (names(root / "kernels"), names(root / "downloads")) == ([OTHER], [])
    assert (root / "keys/guests/id.ed25519").exists()
    assert swept(results, days=0) == {f"kernels/{OTHER}": GONE}


def test_a_dry_run_says_the_same_and_removes_nothing_also_while_the_cache_is_in_use(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept(f"kernels/{KERNEL}", vmlinuz="x")
    with locks.shared(cache.use_lock(), "cleans the cache"):
        assert swept(results, is_dry=True) == {f"kernels/{KERNEL}": GONE}
        assert "the cache is in use" in capsys.readouterr().err
        with pytest.raises(UserError, match="The cache is in use"):
            swept(results)
    assert (folder / "vmlinuz").exists()
    assert swept(results, is_dry=True) == swept(results)
    assert not folder.exists()


def test_of_two_who_clean_at_once_one_is_reported(results: Path) -> None:
    with (
        locks.taken(cache.use_lock(), "It is in use."),
        pytest.raises(UserError, match="The cache is in use"),
    ):
        swept(results)


def test_where_kernels_and_builds_are_made_nobody_cleans(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "find_keys", lambda: None)
    archive = Archive(Mirrors("http://127.0.0.1:9", "http://127.0.0.1:9"))
    with (
        builder.workshop(archive, load_matrix(MATRIX)),
        pytest.raises(UserError, match="The cache is in use"),
    ):
        swept(results)
    swept(results)


def test_what_is_being_made_stays_and_what_nobody_makes_any_more_goes(
    results: Path, root: Path
) -> None:
    folder = root / "kernels"
    for name in (KERNEL, OTHER):
        kept(f"kernels/.{name}.unfinished", days=0, vmlinuz="x")
    kept("kernels/.f.damaged", days=1)
    kept("builds/.f.damaged")
    kept(f"builds/{BUILD}", days=1)
    for name in (f"kernels/.{OTHER}.lock", f"builds/.{BUILD}.lock"):
        (root / name).touch()
    with locks.locked(folder / f".{KERNEL}.lock", "makes a kernel"):
        found = swept(results)
        assert sorted(name for name, reason in found.items() if reason == "in use") == [
            f"kernels/.{KERNEL}.lock",
            f"kernels/.{KERNEL}.unfinished",
        ]
    assert names(folder) == [f".{KERNEL}.lock", f".{KERNEL}.unfinished", ".f.damaged"]
    assert names(root / "builds") == [f".{BUILD}.lock", BUILD]
    swept(results)
    assert names(folder) == [".f.damaged"]


@pytest.mark.parametrize(
    ("name", "lock"),
    [(f"kernels/{KERNEL}", f"kernels/.{KERNEL}.lock"), (f"apt/{OTHER}", f"apt/{OTHER}/lock")],
)
def test_an_entry_whose_lock_is_held_stays(name: str, lock: str, results: Path, root: Path) -> None:
    kept(name)
    with locks.locked(root / lock, "makes it"):
        assert swept(results, days=0) == {name: "in use"}
    assert swept(results, days=0) == {name: GONE}
    assert not any((root / name).parent.iterdir())


def test_what_hatester_did_not_make_stays_and_is_reported(
    results: Path, root: Path, tmp_path: Path
) -> None:
    for name in ("foo", "kernels/mine", "kernels/.git"):
        kept(name, readme="x")
    (root / "kernels" / KERNEL).symlink_to(tmp_path)
    (root / "snapshot").write_text("")
    for name in ("faults.log", "faults.log.1"):
        (root / name).touch()
    found = swept(results, days=0)
    theirs = {"foo", "kernels/mine", "kernels/.git", f"kernels/{KERNEL}"}
    assert found == dict.fromkeys(theirs, "not hatester's")
    assert swept(results, "kernels", "leftovers", days=0) == {}
    assert (root / "foo/readme").exists()


def test_an_empty_cache_has_nothing_to_clean(results: Path) -> None:
    assert cleaned(clean(results, [], 0, find_roots, is_dry=False)) == "freed 0 B; 0 B stay"


def test_what_a_sparse_file_takes_of_the_disk_counts(results: Path, root: Path) -> None:
    folder = kept(f"systems/{SYSTEM}")
    with (folder / "system.ext4").open("wb") as file:
        file.write(b"x" * 100_000)
        file.truncate(3 << 30)
    [fate] = clean(results, [], 0, find_roots, is_dry=True).fates
    assert 100_000 <= fate.item.size < 1_000_000


def test_what_cannot_be_removed_is_reported_and_costs_nothing_else(
    results: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KERNEL, OTHER):
        kept(f"kernels/{name}", vmlinuz="x")
    remove = shutil.rmtree

    def refuse(path: Path) -> None:
        if KERNEL in path.name:
            raise PermissionError(13, "Permission denied")
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        found = clean(results, [], 30 * DAY, find_roots, is_dry=False)
    assert "failed: Permission denied" in cleaned(found)
    with pytest.raises(
        UserError, match=rf"^1 could not be removed, .*kernels/{KERNEL}: .*denied\.$"
    ):
        found.require_all_gone()
    # The rest of it does not count as whole, and goes the next time.
    assert names(root / "kernels") == [f".{KERNEL}.lock", f".{KERNEL}.unfinished"]
    swept(results)
    assert names(root / "kernels") == []


def run(results: Path, days: float) -> Path:
    """Store a run that ended so long ago."""
    folder = stored(results, shown()).folder
    date(folder / "run.json", days)
    return folder


def test_results_go_only_where_they_are_named_and_the_newest_run_never(results: Path) -> None:
    old, older, newest = (run(results, days) for days in (40, 50, 60))
    figures = results / "bench/20260101-000000.json"
    figures.parent.mkdir()
    figures.touch()
    date(figures, 40)
    (results / "notes").mkdir()
    (results / "bench/mine.json").touch()
    assert swept(results, days=0) == {}
    assert swept(results, "results") == {
        older.name: GONE, old.name: GONE, "bench/20260101-000000.json": GONE,
        newest.name: "latest",
    }  # fmt: skip
    assert swept(results, "results", days=0) == {newest.name: "latest"}
    assert names(results) == sorted(["bench", "latest", newest.name, "notes"])
    assert names(results / "bench") == ["mine.json"]


def test_a_run_that_is_being_measured_stays_and_others_go_meanwhile(results: Path) -> None:
    old, other, newest = (run(results, 40) for _ in range(3))
    with (
        locks.shared(cache.use_lock(), "cleans the cache"),
        locks.taken(old / "lock", "It is being measured."),
    ):
        found = swept(results, "results")
    assert found == {old.name: "in use", other.name: GONE, newest.name: "latest"}
    assert (old / "run.json").exists()


def test_what_is_left_of_a_run_goes_the_next_time(results: Path) -> None:
    newest = run(results, 0)
    (results / ".20260101-000000.unfinished").mkdir()
    assert swept(results, "results") == {".20260101-000000.unfinished": GONE, newest.name: "latest"}


def test_entries_tell_what_they_are(root: Path, results: Path) -> None:
    saved_guest()
    lists = kept(f"apt/{OTHER}", trixie_fetched="", sid_fetched="")
    (lists / "lists").mkdir()
    kept(f"kernels/{OTHER}", kit_json="[]")
    newest = stored(results, shown(), planned=[ID, f"{ID}x"]).folder
    said = {fate.item.what for fate in clean(results, PARTS, 0, find_roots, is_dry=True).fates}
    assert said == {
        "Linux 6.1.0 with HAProxy 3.0",
        "Linux 6.1.0 (6.1.1-1)",
        "HAProxy 3.0.11-1",
        "package lists of sid, trixie",
        SYSTEM,
        OTHER,
        f"{newest.name}: 1 of 2 cells, unfinished",
    }


MIB = 2**20
NOW = 100 * DAY


def item(part: str, what: str, bytes_: int, days: float) -> Item:
    return Item(part, what, Path("/", part, what), Path("/lock"), NOW - days * DAY, bytes_)


FATES = [
    Fate(item("ready", "Linux 6.1.0-50-cloud-amd64 with HAProxy 2.2, 3.0", 162 * MIB, 31)),
    Fate(item("ready", "Linux 7.3~rc1 with HAProxy 3.0", 158 * MIB, 0.1), "too young"),
    Fate(item("kernels", "Linux 6.1.0-50-cloud-amd64 (6.1.176-1)", 389 * MIB, 45)),
    Fate(item("systems", "0011223344556677", 5 * 2**30, 40), "a saved guest needs it"),
    Fate(item("builds", "HAProxy 3.0.11-1+deb13u4", 2600, 33), failure="Permission denied"),
    Fate(item("foreign", "kernels/12e4", 12, 0.001), "not hatester's"),
]


def test_the_table_is_as_in_the_golden_file() -> None:
    expected = (cleaned(Swept(FATES, NOW, is_dry=is_dry)) for is_dry in (False, True))
    assert "\n\n\n".join(expected) + "\n" == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (162 * MIB, "162 MiB"),
        (8_700_000_000, "8.1 GiB"), (3 << 40, "3.0 TiB"), (5000 << 40, "5000.0 TiB"),
    ],
)  # fmt: skip
def test_bytes_are_reported_in_the_unit_that_fits(count: int, expected: str) -> None:
    assert size(count) == expected


@given(st.floats(0, 1e9))
def test_an_age_is_reported_in_whole_units_of_which_there_are_some(seconds: float) -> None:
    number, unit = age(seconds).split()
    length = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
    assert int(number) * length <= seconds < (int(number) + 1) * length
    assert int(number) > 0 or seconds < 1
