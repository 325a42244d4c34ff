"""Completion in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabulate import tabulate_formats

from hatester.analysis.outcomes import OUTCOMES
from hatester.artifacts import gc
from hatester.cli.flag_help import CHOICES
from hatester.commands import init, listing
from hatester.guests import host_capabilities
from hatester.matrix.declarations import FLAVOURS, METHODS, load_matrix
from hatester.runner import bench
from hatester.runner.run import Keep
from hatester.util.paths import MATRIX, PROJECT
from tests.factories import stored_run
from tests.factories.project import call, copy_matrix

DECLARED = load_matrix(MATRIX)
WORDS = ("plan", "shell", "--kernel", "--only", "--json", "a/b/c/d/e/f", "=", "-", "--", "", "é\n")


def completed(*words: str, folder: Path = PROJECT) -> list[str]:
    done = call("--complete", "--", *words, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pl",), ["plan"]),
        (("--ver",), ["--version"]),
        (("plan", "--kernel", "7."), ["7.2", "7.3"]),
        (("plan", "--kernel", "=", "7."), ["7.2", "7.3"]),
        (("plan", "--haproxy", "2."), ["2.2", "2.2-to-2.6", "2.6", "2.6-to-3.0"]),
        (("plan", "--sk",), ["--skip"]),
        (("plan", "--setting", "no-"), ["no-fd-passing"]),
        (("plan", "--scenario", "reload-"), ["reload-storm"]),
        (("plan", "--matrix", ""), ["default", "full"]),
        (("matrix", "--no-"), ["--no-advise"]),
        (("matrix", "--failed", "pl"), []),
        (("matrix", "--config", ""), []),
        (("matrix", "--config", "x.cfg", "--clock", "v"), ["virtual"]),
        (("shell", "6.1/2"), ["6.1/2.2-to-2.6/", "6.1/2.2/", "6.1/2.6-to-3.0/", "6.1/2.6/"]),
        (("shell", "6.1/2.2/plain/hitless/s"), [
            f"6.1/2.2/plain/hitless/{method}" for method in ("signal", "soft-finish", "systemd")
        ]),
        (("shell", "6.1/2.2/plain/hitless/signal/"), []),
        (("plan", "--only", "5.10/3.4/plain/tent"), ["5.10/3.4/plain/tentative-v6/"]),
        (("list", "ker"), ["kernels"]),
        (("list", "kernels", "--js"), ["--json"]),
        (("init", ""), ["expectation", "matrix", "scenario"]),
        (("init", "matrix", ""), []),
        (("clean", "--part", "r"), ["ready", "results"]),
        (("nonsense", "pl"), ["plan"]),
    ],
)  # fmt: skip
def test_words_are_completed(words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(*words) == expected


def test_each_kernel_build_setting_and_scenario_is_offered() -> None:
    for flag, names in (
        ("kernel", DECLARED.kernels), ("haproxy", DECLARED.builds),
        ("setting", DECLARED.settings), ("scenario", DECLARED.scenarios),
    ):  # fmt: skip
        assert completed("plan", f"--{flag}", "") == sorted(names)


def test_runs_and_their_cells_are_offered(tmp_path: Path) -> None:
    folder = copy_matrix(tmp_path)
    run = stored_run.made(folder / "results").folder.name
    for words in (
        "report",
        "compare",
        "compare latest",
        "export --run",
        "merge",
        "matrix --expect",
    ):
        assert completed(*words.split(), "", folder=folder) == [run, "latest"]
    assert completed("merge", run, run, "la", folder=folder) == ["latest"]
    assert completed("export", "", folder=folder) == ["6.1/"]
    assert completed("export", "6.1/3", folder=folder) == ["6.1/3.0/", "6.1/3.2/"]
    cell = "6.1/2.2/plain/lost-address/"
    assert completed("export", cell, folder=folder) == [f"{cell}signal"]


def test_what_is_missing_or_damaged_offers_nothing(tmp_path: Path) -> None:
    folder = copy_matrix(tmp_path)
    assert completed("report", "", folder=folder) == []
    assert completed("export", "", folder=folder) == []
    for content in ("[", "[x]", "{}", "kernels: 3", "\x00"):
        (folder / "matrix/kernels.yml").write_text(content)
        assert completed("plan", "--kernel", "", folder=folder) == []


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_any_words_are_completed_without_a_fault(words: list[str]) -> None:
    completed(*words)


def test_the_choices_are_those_that_commands_take() -> None:
    assert CHOICES["method"] == tuple(METHODS)
    assert CHOICES["flavour"] == tuple(FLAVOURS)
    assert CHOICES["clock"] == host_capabilities.CLOCKS
    assert CHOICES["keep"] == tuple(each.value for each in Keep)
    assert {*CHOICES["bad"]} < {*OUTCOMES}
    assert {*CHOICES["table_format"]} < {*tabulate_formats}
    assert CHOICES["bench part"] == tuple(bench.PARTS)
    assert CHOICES["clean part"] == gc.PARTS
    assert {*CHOICES["list kind"]} == {*listing.KINDS, listing.ALL}
    assert CHOICES["init kind"] == tuple(init.KINDS)


def test_the_script_is_installed_where_bash_completion_finds_it(tmp_path: Path) -> None:
    done = call("completion", XDG_DATA_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    shown = call("completion", "--show").stdout
    for name in ("bootstrap", "hatester"):
        file = tmp_path / "bash-completion/completions" / name
        assert file.read_text() == shown
        assert f"installed: {file}\n" in done.stdout
    (tmp_path / "file").write_text("")
    wrong = call("completion", XDG_DATA_HOME=str(tmp_path / "file"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
