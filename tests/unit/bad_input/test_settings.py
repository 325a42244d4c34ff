"""Settings, and variables of the environment, of every wrong kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hatester.cli.program import MISTAKE, STOP_BISECTION
from hatester.util.paths import PROJECT
from tests.factories.bad_input import require_refusal
from tests.factories.project import call

URL = "expected a URL such as http://mirror.example.org/debian"
NO_CACHE = "The cache folder /dev/null/hatester cannot be made: Not a directory."
VARIABLES = [
    ("INVOKE_HATESTER_MIROR", "x", "plan", "there is no such setting; did you mean mirror?"),
    ("INVOKE_HATESTER_", "x", "plan", "there is no such setting (there are: mirror,"),
    ("INVOKE_HATESTER_MIRROR", "x", "plan", f"INVOKE_HATESTER_MIRROR: {URL}, got 'x'."),
    ("INVOKE_HATESTER_MIRROR", "ftp://x/debian", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "/debian", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "http://", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "http://a b/debian", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "http://[::1/debian", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "http://é/debian", "plan", URL),
    ("INVOKE_HATESTER_MIRROR", "http://x:99999/debian", "plan", URL),
    ("INVOKE_HATESTER_SECURITY_MIRROR", "x", "plan", URL),
    ("INVOKE_HATESTER_RELEASES", "x", "list-releases", URL),
    ("INVOKE_HATESTER_SNAPSHOT_ARCHIVE", "x", "plan --kernel snapshot:6.1.0-18-amd64", URL),
    ("XDG_CACHE_HOME", "/dev/null", "clean", NO_CACHE),
    ("XDG_CACHE_HOME", "/dev/null", "doctor", NO_CACHE),
    ("XDG_CACHE_HOME", "/dev/null", "plan --haproxy sid", NO_CACHE),
    ("XDG_CACHE_HOME", "/dev/null", "plan --kernel sid:6.1", NO_CACHE),
    ("HOME", "/nope", "plan --kernel '~/x.deb'", "/nope/x.deb: there is no such file."),
    ("INVOKE_RUNTIME_CONFIG", "fifo.yml", "plan --kernel 6.2", "--kernel: there is no '6.2'"),
    ("INVOKE_RUN_ENV", "x", "plan --kernel 6.2", "--kernel: there is no '6.2'"),
    ("TMPDIR", "/nope", "plan --kernel 6.2", "--kernel: there is no '6.2'"),
]


@pytest.mark.parametrize(("name", "value", "line", "part"), VARIABLES)
def test_a_bad_variable_gets_one_sentence(
    place: Path, name: str, value: str, line: str, part: str
) -> None:
    require_refusal(place, line, MISTAKE, part, {name: value})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, ""),
        ("", ""),
        ("hatester:\n", ""),
        ("hatester: {mirror: http://a/debian}\n", ""),
        ("run:\n", "invoke.yaml: there is no key 'run' (there is: hatester)."),
        ("1: x\n", "invoke.yaml: there is no key 1 (there is: hatester)."),
        ("hatester: x\n", "invoke.yaml: hatester: expected keys (mirror,"),
        ("hatester: [x]\n", "invoke.yaml: hatester: expected keys (mirror,"),
        (
            "hatester: {miror: x}\n",
            "hatester: miror: there is no such setting; did you mean mirror?",
        ),
        ("hatester: {mirror: [x]}\n", "invoke.yaml: hatester: mirror: expected a URL such as "),
        ("hatester: {mirror: {a: b}}\n", "invoke.yaml: hatester: mirror: expected a URL such as "),
        ("- x\n", "invoke.yaml: expected the key hatester, got ['x']."),
        ("5\n", "invoke.yaml: expected the key hatester, got 5."),
        ("x: 1\n", "invoke.yaml: there is no key 'x' (there is: hatester)."),
        ("hatester: {}\nx: 1\n", "invoke.yaml: there is no key 'x' (there is: hatester)."),
        ("hatester: {1: x}\n", "invoke.yaml: hatester: 1: there is no such setting"),
        ("hatester: {mirror: 5}\n", f"mirror: {URL}"),
        ("hatester: {mirror: x}\n", "invoke.yaml: hatester: mirror: expected a URL such as "),
        ("hatester: {releases: ftp://x}\n", "releases: expected a URL such as "),
        ("a: [\n", "invoke.yaml, line 2: it is not YAML: "),
        ("a:\n\t- b\n", "invoke.yaml, line 2: it is not YAML: "),
        ("a: \a\n", "invoke.yaml cannot be read: "),
        ("[" * 1000, "invoke.yaml cannot be read: "),
    ],
)
def test_settings_of_another_kind_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, sentence: str
) -> None:
    (tmp_path / "tasks.py").symlink_to(PROJECT / "tasks.py")
    if content is not None:
        (tmp_path / "invoke.yaml").write_text(content)
    monkeypatch.setattr("hatester.cli.program.PROJECT", tmp_path)
    for command, code in (("plan", MISTAKE), ("bisect --only x", STOP_BISECTION)):
        done = call(*command.split(), root=tmp_path)
        assert done.returncode == (code if sentence or code == STOP_BISECTION else 0), done.stderr
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) <= 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_settings_in_no_file_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "invoke.yaml")
    monkeypatch.setattr("hatester.cli.program.PROJECT", tmp_path)
    done = call("plan")
    assert (done.returncode, done.stderr) == (MISTAKE, "invoke.yaml is not a regular file.\n")


@pytest.mark.parametrize("columns", ["1", "0", "-5", "x", "1000000"])
def test_a_width_of_any_kind_is_taken(columns: str) -> None:
    for words in (("--help",), ("matrix", "--help"), ("--list",)):
        done = call(*words, COLUMNS=columns, NO_COLOR="")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Measure" in done.stdout
