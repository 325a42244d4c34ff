"""The command line, where no machine is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from hatester.analysis.model import Measurement, RunOrigin
from hatester.artifacts import gc
from hatester.matrix.declarations import FLAVOURS, METHODS
from hatester.matrix.plan import cell_of
from hatester.results.store import begin
from hatester.runner import bench
from tests.factories import runs
from tests.factories.cache import KERNEL, empty_cache, kept
from tests.factories.cells import ID, NOTHING, shown, stored, unmeasured_cell
from tests.factories.kernels import RELEASE, bzimage
from tests.factories.project import NOWHERE, call, copy_matrix
from tests.factories.runs import EVIDENCE


@pytest.fixture(autouse=True)
def _mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name mirrors, which the host's tools are asked for otherwise."""
    for name in ("MIRROR", "SECURITY_MIRROR"):
        monkeypatch.setenv(f"INVOKE_HATESTER_{name}", NOWHERE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the matrix to spoil it, and make a place for results."""
    return copy_matrix(tmp_path / "checkout")


def test_plan_lists_ids_and_each_selects_its_cell() -> None:
    listed = call("plan").stdout.split()
    assert len(listed) == 100
    assert call("plan", "--only", listed[7]).stdout.split() == [listed[7]]


def test_plan_gives_its_cells_as_json() -> None:
    cells = json.loads(call("plan", "--json", "--kernel", "6.1", "--haproxy", "2.2").stdout)
    assert cells[0] == {
        "id": "6.1/2.2/plain/lost-address/signal",
        "kernel": "6.1", "build": "2.2", "setting": "plain",
        "scenario": "lost-address", "method": "signal",
    }  # fmt: skip


def test_a_mistake_in_a_file_is_found_before_anything_boots(checkout: Path) -> None:
    (checkout / "matrix/settings.yml").write_text("settings: {plain: {sysctl: {}}}")
    done = call("matrix", folder=checkout)
    assert done.returncode == 2
    assert "settings.yml: settings: plain: there is no key 'sysctl'" in done.stderr
    assert not (checkout / "results").exists()


@pytest.mark.parametrize("words", [("--dry", "matrix"), ("matrix", "--dry-run")])
def test_a_dry_run_is_a_plan_and_boots_nothing(checkout: Path, words: tuple[str, ...]) -> None:
    done = call(*words, "--kernel", "6.1", folder=checkout)
    planned = call("plan", "--kernel", "6.1", folder=checkout)
    assert (done.returncode, len(done.stdout.split())) == (0, 20)
    assert (done.stdout, done.stderr) == (planned.stdout, planned.stderr)
    assert not (checkout / "results").exists()


def test_a_stored_run_is_shown_again_and_a_wrong_one_is_named(checkout: Path) -> None:
    results = runs.stored(checkout / "results", [runs.measured(cell_of(ID), EVIDENCE["silent"])])
    name = results.folder.name
    done = call("report", name, "--recompute", "--table-format", "github", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert "judged 1 cells again: 0 have other results now" in done.stderr
    assert "| 6.1     | down refused, silent |" in done.stdout
    assert "HAProxy 2.2 reports success and refuses every address from then on" in done.stdout
    for file in ("run.json", "report.html", "report.md", "junit.xml"):
        assert str(results.folder / file) in done.stdout
        assert (results.folder / file).exists()
    wrong = call("report", "y", folder=checkout)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == f"{checkout}/results: there is no 'y' (there are: {name}, latest).\n"


def test_a_stored_cell_is_exported(checkout: Path) -> None:
    runs.stored(checkout / "results", [runs.measured(cell_of(ID), EVIDENCE["silent"])])
    done = call("export", ID, "report", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / "report/run.sh").exists()
    again = call("export", ID, "report", folder=checkout)
    assert (again.returncode, again.stdout) == (2, "")
    assert "not an empty folder" in again.stderr
    wrong = call("export", ID.replace("2.2", "2.1"), "other", folder=checkout)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"did you mean {ID}?" in wrong.stderr


def test_two_runs_are_compared_and_what_got_worse_ends_with_1(checkout: Path) -> None:
    was, now, lost = (
        stored(checkout / "results", each).folder.name
        for each in (shown("ok"), shown("down", silent=True, lost=9), unmeasured_cell())
    )
    for before, after, code, said in (
        (was, now, 1, "1 cell got worse"),
        (now, was, 0, "0 cells got worse, 1 better"),
        (was, lost, 3, "1 not measured any more"),
    ):
        done = call("compare", before, after, folder=checkout)
        assert (done.returncode, done.stderr) == (code, "")
        assert said in done.stdout


def test_a_run_is_reported_against_another(checkout: Path) -> None:
    was, now = (stored(checkout / "results", each) for each in (shown("ok"), shown("down")))
    done = call("report", now.folder.name, "--against", was.folder.name, folder=checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"against {was.folder.name}:\n\nworse:\n" in done.stdout
    for name in ("report.html", "report.md"):
        assert f"Against {was.folder.name}" in (now.folder / name).read_text()
    wrong = call("report", "latest", "--against", "never", folder=checkout)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_an_expectation_is_read_before_anything_boots(checkout: Path) -> None:
    (checkout / "expected.yml").write_text('"*/2.2/*": okay\n')
    words = ("matrix", "--kernel", "6.1", "--expect", "expected.yml")
    done = call(*words, folder=checkout)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("expected.yml: */2.2/*: there is no 'okay'; did you mean ok?")


def test_a_run_that_is_resumed_says_itself_which_cells_and_how(checkout: Path) -> None:
    stored(checkout / "results", shown("ok"), planned=[ID, ID.replace("2.2", "3.0")])
    done = call("--dry", "matrix", "--resume", folder=checkout)
    assert done.stdout.split() == [ID.replace("2.2", "3.0")]
    for words in (("--kernel", "6.1"), ("--repeat", "2"), ("--matrix", "full")):
        done = call("matrix", "--resume", *words, folder=checkout)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("--resume: ")


def test_a_cell_whose_evidence_is_gone_is_measured_again_when_its_run_is_resumed(
    checkout: Path,
) -> None:
    results = runs.stored(checkout / "results", [runs.measured(cell_of(ID), runs.EVIDENCE["ok"])])
    assert call("--dry", "matrix", "--resume", folder=checkout).stdout.split() == []
    (results.evidence(results.cells[0]) / "timeline.json").unlink()
    done = call("--dry", "matrix", "--resume", folder=checkout)
    assert done.stdout.split() == [ID]
    assert f"measured again, since the evidence is missing or damaged: {ID}" in done.stderr
    done = call("report", "latest", "--recompute", folder=checkout)
    assert "1 of 1 cells could not be judged again and stay as they were measured" in done.stderr
    assert done.returncode == 0


def test_builds_that_the_flag_describes_are_planned_and_known_when_resumed(
    checkout: Path, tmp_path: Path
) -> None:
    words = ("--kernel", "6.1", "--setting", "plain", "--scenario", "hitless")
    described = ("--haproxy", "docker://haproxy:1.8.26", "--haproxy", "3.0")
    done = call("plan", *words, *described, "--method", "signal", "--method", "systemd")
    assert done.stdout.split() == [
        "6.1/haproxy-1.8.26/plain/hitless/signal", "6.1/3.0/plain/hitless/signal",
        "6.1/3.0/plain/hitless/systemd",
    ]  # fmt: skip
    assert "needs HAProxy's packaged unit, and haproxy-1.8.26 has none" in done.stderr
    left = ID.replace("2.2", "haproxy-1.8.26")
    given = {"haproxy-1.8.26": "docker://haproxy:1.8.26"}
    stored(checkout / "results", shown("ok"), planned=[ID, left])
    assert call("--dry", "matrix", "--resume", folder=checkout).returncode == 2
    origin = RunOrigin(builds=given)
    results = begin(checkout / "results", {}, [cell_of(ID), cell_of(left)], origin=origin)
    results.add(Measurement(shown("ok"), NOTHING))
    assert call("--dry", "matrix", "--resume", folder=checkout).stdout.split() == [left]


def test_a_kernel_that_is_declared_nowhere_is_planned_and_found_again(
    checkout: Path, tmp_path: Path
) -> None:
    file = tmp_path / "vmlinuz"
    file.write_bytes(bzimage(RELEASE))
    words = ("--kernel", str(file), "--only", "*/2.2/plain/lost-address/*")
    done = call("plan", *words, folder=checkout)
    id_ = f"{RELEASE}/2.2/plain/lost-address/signal"
    assert done.stdout == f"{id_}\n"
    begin(checkout / "results", {}, [cell_of(id_)], origin=RunOrigin(kernels={RELEASE: str(file)}))
    assert call("--dry", "matrix", "--resume", folder=checkout).stdout == f"{id_}\n"


def test_what_makes_no_sense_is_left_out_with_the_reason() -> None:
    done = call("plan", "--kernel", "5.10", "--kernel", "6.1", "--setting", "migrate-req")
    assert {id_.partition("/")[0] for id_ in done.stdout.split()} == {"6.1"}
    assert "because migrate-req needs Linux 5.14 or later, and 5.10 is 5.10" in done.stderr


def test_clean_names_what_it_would_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = empty_cache(tmp_path, monkeypatch)
    kept(f"kernels/{KERNEL}", vmlinuz="x")
    done = call("clean", "--dry-run", "--part", "kernels", XDG_CACHE_HOME=str(root.parent))
    assert done.returncode == 0, done.stderr
    assert "40 d  would be removed" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("would free ")
    assert (root / "kernels" / KERNEL).exists()
    for words, sentence in (
        (("--part", "kernel"), "--part: there is no 'kernel'; did you mean kernels?"),
        (("--older-than", "30"), "--older-than: '30' is not a time such as 90s"),
        (("--older-than", ""), "clean: --older-than: expected a value"),
    ):
        wrong = call("clean", *words, XDG_CACHE_HOME=str(root.parent))
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith(sentence)


def test_bench_refuses_an_unknown_part() -> None:
    done = call("bench", "--part", "start")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--part: there is no 'start'; did you mean starts?" in done.stderr


@pytest.mark.parametrize(
    ("command", "names"),
    [("matrix", METHODS), ("kernels", FLAVOURS), ("bench", bench.PARTS), ("clean", gc.PARTS)],
)
def test_help_lists_all_names(command: str, names: Iterable[str]) -> None:
    assert f": {', '.join(names)} (repeatable)." in " ".join(call(command, "-h").stdout.split())
