"""Commands that need processes of their own, tools of the host, or servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatester.capture.captured_host import load_host
from hatester.cli.program import MISTAKE
from hatester.util.paths import PROJECT
from tests.factories.cells import ID, shown, stored
from tests.factories.project import INVOKE, call, copy_matrix, invoke
from tests.factories.servers import BEHAVIOURS, server
from tests.factories.ssh_server import ssh_server


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the matrix to spoil it, and make a place for results."""
    return copy_matrix(tmp_path / "checkout")


def test_without_network_and_cache_nothing_boots(checkout: Path, tmp_path: Path) -> None:
    done = call(
        "matrix", "--kernel", "6.1",
        folder=checkout,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        INVOKE_HATESTER_MIRROR="http://127.0.0.1:9/debian",
        INVOKE_HATESTER_SECURITY_MIRROR="http://127.0.0.1:9/debian",
    )  # fmt: skip
    assert done.returncode == 2
    assert "package lists of Debian's suite bookworm cannot be fetched" in done.stderr
    assert not (checkout / "results").exists()


def test_unreachable_mirror_is_named(tmp_path: Path) -> None:
    words: tuple[str, ...]
    for words in (("plan", "--kernel", "trixie:6.*"), ("kernels", "--suite", "trixie")):
        done = call(
            *words,
            XDG_CACHE_HOME=str(tmp_path),
            INVOKE_HATESTER_MIRROR="http://127.0.0.1:9/debian",
            INVOKE_HATESTER_SECURITY_MIRROR="http://127.0.0.1:9/debian",
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "package lists of Debian's suite trixie cannot be fetched" in done.stderr


def test_what_the_host_lacks_is_named(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name != "qemu-system-x86_64" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    done = call("matrix", folder=checkout, PATH=str(tools))
    assert done.returncode == 2
    assert done.stderr.startswith("qemu-system-x86_64: is not installed")
    doctor = call("doctor", folder=checkout, PATH=str(tools))
    assert doctor.returncode == 2
    assert "MISSING" in doctor.stdout


def test_capture_needs_a_known_host(checkout: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text("frontend main\n    bind :80\n    stats auth admin:horse\n")
    with ssh_server(tmp_path) as place:
        words = ("capture", "production", "--ssh-config", place.config, "--as", "lb1")
        done = call(*words, "--config", str(configuration), folder=checkout, HOME=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        assert "left out: 1\n  1 stats" in done.stdout
        assert "horse" not in done.stdout
        assert f"captured: {checkout}/matrix/hosts/lb1.yml" in done.stdout
        copy = checkout / "matrix/hosts/lb1/etc/haproxy/haproxy.cfg"
        assert copy.read_text() == "frontend frontend1\n    bind :80\n\n"
        (tmp_path / "known_hosts").unlink()
        refused = call(*words, folder=checkout, HOME=str(tmp_path))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "its host key is not known; log in once with `ssh -p " in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert load_host(checkout / "matrix/hosts", "lb1")


@pytest.mark.parametrize("behaviour", ["closes", "resets"])
def test_host_without_ssh_is_named(behaviour: str) -> None:
    with server(BEHAVIOURS[behaviour]) as port:
        done = call("capture", "127.0.0.1", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("127.0.0.1 cannot be entered: Error reading SSH protocol banner")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--version",), 0, ""),
        (("plan", "--kernl", "6.1"), 2, "plan: there is no flag '--kernl'; did you mean --kernel?"),
        (("bisect", "--bda", "down"), 129, "bisect: there is no flag '--bda'; did you mean --bad?"),
        (("bisect", "--bad", "worse"), 129, "--bad: there is no 'worse'"),
    ],
)
def test_exit_codes_are_those_of_hatester(words: tuple[str, ...], code: int, said: str) -> None:
    done = invoke(*words)
    assert (done.returncode, done.stderr[: len(said)]) == (code, said)


def test_a_closed_pipe_is_not_a_fault() -> None:
    command = f"{' '.join(INVOKE)} plan | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        check=False, cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


def test_plain_invoke_runs_the_same_commands() -> None:
    plain = [str(Path(sys.executable).with_name("invoke")), "plan", "--only", "6.1/2.2/*"]
    done = subprocess.run(plain, check=True, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == invoke(*plain[1:]).stdout


LIBRARIES = {"cryptography", "fabric", "paramiko", "pydantic", "requests", "rich", "tabulate"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--list", []),
        ("--help matrix", []),
        ("--complete -- plan --kernel 6", []),
        ("plan --quiet", ["pydantic"]),
    ],
)
def test_commands_that_look_import_few_libraries(words: str, expected: list[str]) -> None:
    script = (
        "import sys; from hatester.cli.program import Program; Program().run(sys.argv, exit=False);"
        f"sys.exit(sorted({LIBRARIES} & {{*sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()],
        check=False, cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == f"{expected}\n"


@pytest.mark.parametrize(("command", "code"), [("bisect", 129), ("plan", 4)])
def test_a_damaged_environment_is_not_a_verdict(tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "invoke").mkdir()
    (tmp_path / "invoke/__init__.py").write_text("raise ImportError('damaged')")
    done = invoke(command, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == (
        "hatester cannot start: ImportError('damaged'). Remove .venv and start again.\n"
    )


@pytest.mark.parametrize(("words", "code"), [([], 2), (["-h"], 0), (["--help"], 0)])
def test_bootstrap_alone_says_what_there_is(words: list[str], code: int) -> None:
    done = subprocess.run([PROJECT / "bootstrap", *words], check=False, capture_output=True)
    assert done.returncode == code
    assert b"./bootstrap invoke --list" in done.stdout + done.stderr


@pytest.mark.parametrize("words", [("plan",), ("plan", "--help"), ("--help",), ("--list",)])
def test_full_output_is_a_sentence(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*INVOKE, *words], check=False, stdout=full, stderr=subprocess.PIPE, text=True,
            cwd=PROJECT,
        )  # fmt: skip
    assert done.returncode == MISTAKE
    assert done.stderr == "Standard output cannot be written: No space left on device.\n"


def test_other_locale_is_served() -> None:
    done = invoke("plan", "--setting", "é", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (MISTAKE, "")
    assert done.stderr.startswith(r"--setting: there is no '\xe9'")


def test_run_is_compared_with_expectation(checkout: Path) -> None:
    stored(checkout / "results", shown("down", silent=True, lost=9))
    for expected, code, said in (("silent", 0, ""), ("down", 1, f"{ID} is silent, not down")):
        (checkout / "expected.yml").write_text(f'"*": {expected}\n')
        done = call("matrix", "--resume", "--expect", "expected.yml", folder=checkout)
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def test_complete_run_measures_nothing(checkout: Path) -> None:
    stored(checkout / "results", shown("ok"))
    done = call("matrix", "--resume", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert "HAProxy 2.2" in done.stdout


def test_quiet_leaves_result_and_errors(checkout: Path) -> None:
    stored(checkout / "results", shown("ok"))
    for words in (("plan",), ("matrix", "--resume")):
        done = call(*words, "--quiet", folder=checkout)
        assert (done.returncode, done.stderr) == (0, "")
        assert "2.2" in done.stdout
    wrong = call("plan", "--quiet", "--kernel", "6.2", folder=checkout)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("--kernel: there is no '6.2'")


def test_missing_snapshot_archive_is_named(checkout: Path) -> None:
    done = call("matrix", "--kernel", "snapshot:6.1.0-18-amd64", folder=checkout)
    assert (done.returncode, done.stdout) == (MISTAKE, "")
    sentence = (
        "Where Debian's snapshot archive is, which has the kernel 6.1.0-18-amd64, must be said"
    )
    assert done.stderr.startswith(sentence)
