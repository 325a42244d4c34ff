"""What `invoke plan` estimates of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatester.guests import host_capabilities
from hatester.matrix.plan import cell_of
from hatester.results.store import Results, begin
from hatester.util import process
from tests.factories.cache import empty_cache, saved_guest
from tests.factories.project import call, copy_matrix
from tests.factories.runs import EVIDENCE, HOST, measured

ID = "6.1/3.0/plain/lost-address/signal"


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have two processors without KVM, room for all guests, and an empty cache."""
    monkeypatch.setattr(process, "processors", lambda: 2)
    monkeypatch.setattr(host_capabilities, "has_memory_for", lambda: 9)
    monkeypatch.setenv("HATESTER_ACCEL", "tcg")
    empty_cache(tmp_path, monkeypatch)


def stored(folder: Path, seconds: float, clock: str = "virtual") -> Results:
    """Store a run of one cell that took so many seconds."""
    run = begin(folder / "results", HOST, [cell_of(ID)], clock=clock)
    result = measured(cell_of(ID), EVIDENCE["ok"])
    run.add(replace(result, cell=result.cell.model_copy(update={"seconds": seconds})))
    run.finish()
    return run


def test_with_an_empty_cache_everything_is_made() -> None:
    # docs/performance.md: 399 s, and 2 GiB.
    assert call("plan").stderr == (
        "100 cells in 10 guests, 2 at once: about 7 minutes and 2065 MB, with 1 system, 5 kernels, "
        "5 builds and 5 saved guests that the cache lacks\n"
    )


def test_what_the_cache_has_is_not_made() -> None:
    saved_guest()
    cached = ("--kernel", "6.1", "--haproxy", "3.0")
    assert (
        call("plan", *cached).stderr == "4 cells in 1 guest, 1 at once: about 1 minute and 1 MB\n"
    )
    lacking = call("plan", *cached, "--kernel", "5.10", "--haproxy", "3.2").stderr
    assert "with 1 kernel, 1 build and 2 saved guests that the cache lacks" in lacking


@pytest.mark.parametrize(
    ("seconds", "clock", "expected"),
    [(60, "virtual", "about 6 minutes"), (60, "real", "about 1 minute")],
)
def test_cells_take_as_long_as_in_the_newest_run_on_that_clock(
    tmp_path: Path, seconds: float, clock: str, expected: str
) -> None:
    folder = copy_matrix(tmp_path)
    saved_guest()
    stored(folder, seconds, clock)
    words = ("matrix", "--dry-run", "--only", ID, "--repeat", "12", "--kernel", "6.1")
    done = call(*words, "--haproxy", "3.0", folder=folder)
    assert done.stdout == f"{ID}\n"
    assert f"12 cells in 12 guests, 2 at once: {expected} and 2 MB" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{", '{"clock": "virtual"}', '{"clock": []}'])
def test_a_damaged_run_or_entry_is_passed_over(tmp_path: Path, content: str) -> None:
    folder = copy_matrix(tmp_path / "checkout")
    stored(folder, 600).file.write_text(content)
    for file in (path for entry in saved_guest() for path in entry.glob("*.json")):
        file.write_text(content)
    done = call("plan", "--only", ID, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "about 1 minute and" in done.stderr


def test_the_real_clock_has_fewer_guests_at_once() -> None:
    done = call("matrix", "--dry-run", "--clock", "real")
    assert "10 guests, 1 at once" in done.stderr


def test_a_configuration_whose_addresses_are_not_known_yet_is_not_estimated(
    tmp_path: Path,
) -> None:
    (tmp_path / "haproxy.cfg").write_text("frontend main\n    bind 192.0.2.1:80\n")
    done = call("matrix", "--dry-run", "--config", str(tmp_path / "haproxy.cfg"))
    assert (done.returncode, done.stderr) == (
        0, "each for every address that HAProxy, in a guest, is found to bind\n",
    )  # fmt: skip
