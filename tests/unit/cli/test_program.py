"""Commands that are refused, help, faults, and their exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hatester.cli import program
from hatester.cli.program import INTERRUPTED, Program
from hatester.commands import plan
from hatester.util.paths import COMMAND
from tests.factories.project import call


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("plam",),
            "there is no command 'plam'; did you mean plan? Help: ./bootstrap invoke --help",
        ),
        (("plan", "6.1"), "plan: '6.1' belongs to no flag. Help: "),
        (("plan", "matrx"), "there is no command 'matrx'; did you mean matrix? Help: "),
        (("plan", "--kernl", "x"), "plan: there is no flag '--kernl'; did you mean --kernel? "),
        (("plan", "-k", "6.1"), "plan: there is no flag '-k'. Help: "),
        (("plan", "--kernel"), "plan: --kernel: expected a value. Help: "),
        (("plan", "--kernel", "6.1", "--kernel"), "plan: --kernel: expected a value. Help: "),
        (("plan", "--kernel", "--json"), "plan: --kernel: expected a value. Help: "),
        (("matrix", "--jobs"), "matrix: --jobs: expected a value. Help: "),
        (("shell",), "shell: expected CELL. Help: ./bootstrap invoke shell --help"),
        (("--lost",), "there is no flag '--lost'; did you mean --list? Help: "),
    ],
)
def test_a_refused_flag_ends_with_2_and_names_what_is_near(
    words: tuple[str, ...], sentence: str
) -> None:
    done = call(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)


@pytest.mark.parametrize(
    "words", [("-h", "matrix"), ("matrix", "-h"), ("matrix", "--kernel", "6.1", "--help")]
)
def test_help_helps_everywhere(words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.returncode == 0
    assert "--probe-interval=STRING   Time between two probes" in done.stdout


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (("compare", "--help"), "compare BEFORE AFTER [flags]"),
        (("compare", "a", "-h"), "compare BEFORE AFTER [flags]"),
        (("shell", "--help", "--step", "6"), "shell CELL [flags]"),
        (("merge", "--help"), "merge RUN... [flags]"),
        (("bisect", "--bad", "down", "--help"), "bisect [flags]"),
    ],
)
def test_help_is_no_value_of_a_place(words: tuple[str, ...], usage: str) -> None:
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {COMMAND} {usage}\n")


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_without_a_command_help_lists_the_commands(words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.returncode == 0
    assert "  matrix " in done.stdout


def test_a_fault_ends_with_4_a_sentence_and_its_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("axis")

    monkeypatch.setattr(plan, "load_matrix", fail)
    done = call("plan", XDG_CACHE_HOME=str(tmp_path))
    log = tmp_path / "hatester/faults.log"
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("This is a fault of hatester, and says nothing about HAProxy: ")
    assert f"(test_program.py, line {fail.__code__.co_firstlineno + 1}). " in done.stderr
    assert str(log) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback (most recent call last):" in log.read_text()
    assert call("bisect", XDG_CACHE_HOME=str(tmp_path)).returncode == 129


def test_the_log_of_faults_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x" * (1 << 19))

    monkeypatch.setattr(plan, "load_matrix", fail)
    for _ in range(6):
        call("plan", XDG_CACHE_HOME=str(tmp_path))
    files = [*(tmp_path / "hatester").iterdir()]
    assert sum(file.stat().st_size for file in files) < 3 << 20


def test_an_interruption_before_a_command_begins_is_not_a_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(_: Program) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Program, "parse_tasks", interrupt)
    assert call("bisect").returncode == INTERRUPTED


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("x", "invoke.yaml: expected the key hatester, got 'x'."),
        ("a: [", "invoke.yaml, line 1: it is not YAML: "),
        ("a: \x00", "invoke.yaml cannot be read: "),
    ],
)
def test_a_mistake_in_the_settings_file_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "invoke.yaml").write_text(content)
    monkeypatch.setattr(program, "PROJECT", tmp_path)
    done = call("plan")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("writes_none", [False, True])
def test_whether_python_keeps_compiled_modules_stays(
    writes_none: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", writes_none)
    assert call("--list").returncode == 0
    assert sys.dont_write_bytecode is writes_none
