"""A cell as a folder that shows it again without hatester."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hatester.analysis.reload_model import KeptRequests
from hatester.matrix.declarations import Setting
from hatester.matrix.scenario import Scenario, load_scenario
from hatester.report.reproducer import export
from hatester.report.run_script import Script
from hatester.results.store import Results
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from tests.factories.stored_run import made

SETTING = Setting.model_validate(
    {"sysctls": {"net.ipv4.ip_nonlocal_bind": "1"}, "bind": ["transparent"], "nofile": "4096"}
)


def scenario(name: str = "lost-address") -> Scenario:
    return load_scenario(MATRIX / "scenarios" / name)


def script(name: str, method: str = "signal", gaps: dict[int, float] | None = None) -> str:
    labels = ["192.168.42.44:80"]
    return Script("id", scenario(name), Setting(), method, labels, gaps or {}).text


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return made(tmp_path / "results")


def test_folder_is_complete(run: Results, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    export(run, run.cells[0], scenario(), SETTING, folder)
    assert {each.name for each in folder.iterdir()} == {
        "run.sh", "Dockerfile", "README.md", "timeline.svg", "haproxy.log",
        "with.cfg", "with.http", "without.cfg", "without.http",
    }  # fmt: skip
    assert (folder / "run.sh").stat().st_mode & 0o111
    configuration = (folder / "with.cfg").read_text()
    assert "errorfile 503 with.http" in configuration
    assert "bind 192.168.42.43:80 transparent" in configuration
    text = (folder / "run.sh").read_text()
    assert "sysctl -qw net.ipv4.ip_nonlocal_bind=1" in text
    assert "ulimit -n 4096" in text
    readme = (folder / "README.md").read_text()
    assert run.cells[0].explanation in readme
    assert "--sysctl net.ipv4.ip_nonlocal_bind=1" in readme
    assert "<style>" in (folder / "timeline.svg").read_text()


def test_steps_are_in_order() -> None:
    lines = script("lost-address").splitlines()
    steps = [
        line for line in lines if re.match(r"start |reload |say check|ip address delete", line)
    ]
    assert steps == [
        "start with", "say check", "ip address delete 192.168.42.43/32 dev dummy0",
        "reload without", "say check", "reload with", "say check",
    ]  # fmt: skip


def test_an_interface_comes_back_with_its_addresses() -> None:
    text = script("device-recreated")
    after = text[text.index("ip link delete dummy0\n\n") :]
    assert after.count("ip address add 192.168.42.") == 3


def test_racing_reloads_keep_their_gaps() -> None:
    text = script("reload-storm", gaps={5: 0.018, 6: 0.02})
    assert "sleep 0.018\nreload with" in text


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("signal", '    kill -USR2 "$master"'),
        ("cli", "UNIX-CONNECT:seen/master.sock"),
        ("systemd", '"$haproxy" -c -q -f haproxy.cfg'),
        ("soft-finish", "-sf $(cat seen/pid)"),
    ],
)
def test_each_way_of_reloading(method: str, line: str) -> None:
    assert line in script("lost-address", method)


def test_steps_have_commands_of_their_own() -> None:
    text = script("started-again")
    steps = re.findall(r"^(start w.*|stop|sleep .*)$", text, re.MULTILINE)
    assert steps[:6] == [
        "start with || :",
        "start with",
        "stop",
        "sleep 2",
        "start without",
        "sleep 2",
    ]
    assert text.count("watch_address 192.168.42.44:80") == 1
    assert "second stray" in script("stray-instance")
    assert "restart with" in script("restart")
    assert "run_command 'kill -STOP $PID'" in script("master-stopped")
    assert "ask_haproxy /run/haproxy-admin.sock 'show servers state'" in script("server-stopped")
    assert "drop_packets 10.0.0.6" in script("server-unreachable")


def test_kept_connections_have_a_client(run: Results, tmp_path: Path) -> None:
    lost = KeptRequests(
        kind="keep-alive", address="192.168.42.43:80", requests=10, failures={"empty": 2},
        closing=0, idle_ends=1,
    )  # fmt: skip
    [reload, *others] = run.cells[0].reloads
    hurt = reload.model_copy(update={"clients": (lost,)})
    cell = run.cells[0].model_copy(update={"reloads": (hurt, *others)})
    export(run, cell, scenario("idle-keepalive-closed"), Setting(), tmp_path / "kept")
    text = (tmp_path / "kept/run.sh").read_text()
    client = "python3 keep_alive.py 192.168.42.43:80 192.168.42.43 80 0.1 0.02 >>seen/kept &"
    assert text.count(client) == 2
    assert "import http.client" in (tmp_path / "kept/keep_alive.py").read_text()
    row = "| 192.168.42.43:80 | keep-alive | 10 | 2 empty, 1 closed while idle |"
    assert f"| step {reload.step} {row}" in (tmp_path / "kept/README.md").read_text()
    export(run, cell, scenario(), Setting(), tmp_path / "none")
    assert not (tmp_path / "none/keep_alive.py").exists()
    assert "has none of these clients" in (tmp_path / "none/README.md").read_text()


def test_upgrade_takes_a_second_binary(run: Results, tmp_path: Path) -> None:
    export(run, run.cells[0], scenario("upgrade"), Setting(), tmp_path / "new")
    assert not (tmp_path / "new/Dockerfile").exists()
    assert "./run.sh HAPROXY NEW" in (tmp_path / "new/run.sh").read_text()
    assert "docker" not in (tmp_path / "new/README.md").read_text()


@pytest.mark.parametrize(
    ("number", "needy", "reason"),
    [
        (0, scenario("cli-gone"), "changes HAProxy's root"),
        (2, scenario(), "it was not measured"),
        (
            0,
            scenario().model_copy(update={"servers": ("10.0.0.5:8080",)}),
            r"needs servers \(10\.0\.0\.5:8080\)",
        ),
    ],
)
def test_a_cell_that_no_script_can_reproduce_is_refused(
    run: Results, tmp_path: Path, number: int, needy: Scenario, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        export(run, run.cells[number], needy, Setting(), tmp_path / "new")


def test_other_files_are_left_alone(run: Results, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UserError, match="not an empty folder"):
            export(run, run.cells[0], scenario(), Setting(), place)


def test_damaged_evidence_is_named(run: Results, tmp_path: Path) -> None:
    shutil.rmtree(run.evidence(run.cells[0]))
    with pytest.raises(UserError, match="the evidence"):
        export(run, run.cells[0], scenario(), Setting(), tmp_path / "new")
