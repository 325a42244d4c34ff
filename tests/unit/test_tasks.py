"""The command line, where no machine is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hatester.capture.host import load_host
from hatester.matrix.plan import cell_of
from hatester.results.store import begin
from hatester.util.paths import PROJECT
from tests.factories import runs
from tests.factories.entries import ID, entry, stored, unmeasured
from tests.factories.kernels import RELEASE, kernel_deb
from tests.factories.project import copy_project, invoke
from tests.factories.servers import BEHAVIOURS, server
from tests.factories.ssh_server import ssh_server


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project, to be spoilt."""
    return copy_project(tmp_path / "checkout")


def test_plan_lists_ids_and_each_selects_its_cell() -> None:
    listed = invoke("plan").stdout.split()
    assert len(listed) == 100
    assert invoke("plan", "--only", listed[7]).stdout.split() == [listed[7]]


def test_plan_gives_its_cells_as_json() -> None:
    cells = json.loads(invoke("plan", "--json", "--kernel", "6.1", "--haproxy", "2.2").stdout)
    assert cells[0] == {
        "id": "6.1/2.2/plain/lost-address/signal",
        "kernel": "6.1", "build": "2.2", "setting": "plain",
        "scenario": "lost-address", "method": "signal",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("matrix", "--kernel", "6.2"), "--kernel: there is no '6.2'"),
        (("plan", "--only", "x/*"), "--only: 'x/*' matches none"),
        (("matrix", "--keep", "sometimes"), "--keep: there is no 'sometimes'"),
        (("matrix", "--repeat", "0"), "--repeat: '0' is no whole number from 1 to 1"),
        (("matrix", "--seed", "x"), "--seed: 'x' is no whole number from 0 to 9"),
        (("matrix", "--seed", "1", "--repeat", "2"), "--seed: with --repeat, the seeds are 0"),
        (("matrix", "--clock", "vitual"), "--clock: there is no 'vitual'; did you mean virtual?"),
        (("matrix", "--jobs", "many"), "--jobs: 'many' is no whole number from 0 to 1"),
        (("matrix", "--probe-interval", "1ms"), "--probe-interval: '1ms' is no time from 5ms"),
        (("plan", "--matrix", "ful"), "--matrix: there is no 'ful'; did you mean full?"),
        (("plan", "--method", "reload"), "--method: there is no 'reload'"),
        (("images", "--kernel", "6.2"), "--kernel: there is no '6.2'"),
        (("plan", "--kernel", "6.2:x"), "--kernel: there is no '6.2:x'"),
        (("plan", "--kernel", "/nowhere/*.deb"), "/nowhere/*.deb: here is no Debian package."),
        (
            ("shell", ID, "--kernel", "/etc/passwd"),
            "--kernel /etc/passwd: /etc/passwd is no kernel",
        ),
        (
            ("matrix", "--kernel", "snapshot:6.1.0-18-amd64"),
            "Where Debian's snapshot archive is, which has the kernel 6.1.0-18-amd64, must be said",
        ),
        (("kernels", "--flavour", "xen"), "--flavour: there is no 'xen'"),
        (("builds", "--haproxy", "1.8"), "--haproxy: there is no '1.8'"),
        (("plan", "--haproxy", "./none/haproxy"), f"--haproxy: {PROJECT}/none/haproxy is missing."),
        (("plan", "--haproxy", "docker://a b"), "--haproxy: image: 'docker://a b' is no image"),
        (("versions", "--haproxy", "1.8"), "--haproxy: there is no '1.8'"),
        (("matrix", "--table-format", "ascii"), "--table-format: there is no 'ascii'"),
        (("matrix", "--failed=some"), "--failed: there is no 'some'"),
        (("capture", "x", "--port", "ssh"), "--port: 'ssh' is no whole number from 1 to 6"),
        (("capture", "x", "--as", "../x"), "--as: '../x' is no name to keep x under"),
        (("shell", "6.1/2.2"), "'6.1/2.2' is no cell's id"),
        (("shell", ID, "--step", "9"), "--step: there is no step 9; the last one is step 7."),
    ],
)
def test_a_wrong_flag_gets_one_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str
) -> None:
    done = invoke(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_a_mistake_in_a_file_is_found_before_anything_boots(checkout: Path) -> None:
    (checkout / "matrix/settings.yml").write_text("settings: {plain: {sysctl: {}}}")
    done = invoke("matrix", folder=checkout)
    assert done.returncode == 2
    assert "settings.yml: settings: plain: there is no key 'sysctl'" in done.stderr
    assert not (checkout / "results").exists()


def test_what_the_host_lacks_is_named(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name != "qemu-system-x86_64" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    done = invoke("matrix", folder=checkout, PATH=str(tools))
    assert done.returncode == 2
    assert done.stderr.startswith("qemu-system-x86_64: is not installed")
    doctor = invoke("doctor", folder=checkout, PATH=str(tools))
    assert doctor.returncode == 2
    assert "MISSING" in doctor.stdout


def test_without_network_and_cache_nothing_boots(checkout: Path, tmp_path: Path) -> None:
    done = invoke(
        "matrix", "--kernel", "6.1",
        folder=checkout,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        INVOKE_HATESTER_MIRROR="http://127.0.0.1:9/debian",
        INVOKE_HATESTER_SECURITY_MIRROR="http://127.0.0.1:9/debian",
    )  # fmt: skip
    assert done.returncode == 2
    assert "package lists of Debian's suite bookworm cannot be fetched" in done.stderr
    assert not (checkout / "results").exists()


def test_a_dry_run_boots_nothing(checkout: Path) -> None:
    done = invoke("--dry", "matrix", "--kernel", "6.1", folder=checkout)
    assert (done.returncode, len(done.stdout.split())) == (0, 20)
    assert not (checkout / "results").exists()


def test_a_stored_run_is_shown_again_and_a_wrong_one_is_named(checkout: Path) -> None:
    results = stored(checkout / "results", entry("down", silent=True, lost=9))
    name = results.folder.name
    done = invoke("report", name, "--recompute", "--table-format", "github", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert "judged 1 cells again: 0 are told differently now" in done.stderr
    assert "| 6.1     | down refused, silent |" in done.stdout
    assert "HAProxy 2.2 reports success and refuses every address from then on" in done.stdout
    for file in ("run.json", "report.html", "report.md", "junit.xml"):
        assert str(results.folder / file) in done.stdout
        assert (results.folder / file).exists()
    wrong = invoke("report", "y", folder=checkout)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == f"{checkout}/results: there is no 'y' (there are: {name}, latest).\n"


def test_two_runs_are_compared_and_what_got_worse_ends_with_1(checkout: Path) -> None:
    was, now, lost = (
        stored(checkout / "results", each).folder.name
        for each in (entry("ok"), entry("down", silent=True, lost=9), unmeasured())
    )
    for before, after, code, said in (
        (was, now, 1, "1 cell got worse"),
        (now, was, 0, "0 cells got worse, 1 better"),
        (was, lost, 3, "1 not measured any more"),
    ):
        done = invoke("compare", before, after, folder=checkout)
        assert (done.returncode, done.stderr) == (code, "")
        assert said in done.stdout


def test_an_expectation_is_read_before_anything_boots(checkout: Path) -> None:
    (checkout / "expected.yml").write_text('"*/2.2/*": okay\n')
    words = ("matrix", "--kernel", "6.1", "--expect", "expected.yml")
    done = invoke(*words, folder=checkout)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("expected.yml: */2.2/*: there is no 'okay'; did you mean ok?")


def test_a_run_that_is_resumed_says_itself_which_cells_and_how(checkout: Path) -> None:
    stored(checkout / "results", entry("ok"), planned=[ID, ID.replace("2.2", "3.0")])
    done = invoke("--dry", "matrix", "--resume", folder=checkout)
    assert done.stdout.split() == [ID.replace("2.2", "3.0")]
    for words in (("--kernel", "6.1"), ("--repeat", "2"), ("--matrix", "full")):
        done = invoke("matrix", "--resume", *words, folder=checkout)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("--resume: ")


def test_a_run_that_is_not_as_expected_ends_with_1_and_the_differences(checkout: Path) -> None:
    stored(checkout / "results", entry("down", silent=True, lost=9))
    for expected, code, said in (("silent", 0, ""), ("down", 1, f"{ID} is silent, not down")):
        (checkout / "expected.yml").write_text(f'"*": {expected}\n')
        done = invoke("matrix", "--resume", "--expect", "expected.yml", folder=checkout)
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def test_a_cell_whose_evidence_is_gone_is_measured_again_when_its_run_is_resumed(
    checkout: Path,
) -> None:
    results = runs.stored(checkout / "results", [runs.measured(cell_of(ID), runs.EVIDENCE["ok"])])
    assert invoke("--dry", "matrix", "--resume", folder=checkout).stdout.split() == []
    (results.evidence(results.cells[0]) / "timeline.json").unlink()
    done = invoke("--dry", "matrix", "--resume", folder=checkout)
    assert done.stdout.split() == [ID]
    assert f"measured again, since the evidence is missing or damaged: {ID}" in done.stderr
    done = invoke("report", "latest", "--recompute", folder=checkout)
    assert "1 of 1 cells could not be judged again and stay as they were measured" in done.stderr
    assert done.returncode == 0


def test_builds_that_the_flag_describes_are_planned_and_known_when_resumed(
    checkout: Path, tmp_path: Path
) -> None:
    words = ("--kernel", "6.1", "--setting", "plain", "--scenario", "hitless")
    described = ("--haproxy", "docker://haproxy:1.8.26", "--haproxy", "3.0")
    done = invoke("plan", *words, *described, "--method", "signal", "--method", "systemd")
    assert done.stdout.split() == [
        "6.1/haproxy-1.8.26/plain/hitless/signal", "6.1/3.0/plain/hitless/signal",
        "6.1/3.0/plain/hitless/systemd",
    ]  # fmt: skip
    assert "needs HAProxy's packaged unit, and haproxy-1.8.26 has none" in done.stderr
    left = ID.replace("2.2", "haproxy-1.8.26")
    given = {"haproxy-1.8.26": "docker://haproxy:1.8.26"}
    results = stored(checkout / "results", entry("ok"), planned=[ID, left])
    assert invoke("--dry", "matrix", "--resume", folder=checkout).returncode == 2
    results.run["builds"] = given
    results.finish()
    assert invoke("--dry", "matrix", "--resume", folder=checkout).stdout.split() == [left]


def test_a_kernel_that_is_declared_nowhere_is_planned_and_found_again(
    checkout: Path, tmp_path: Path
) -> None:
    deb = kernel_deb(tmp_path)
    words = ("--kernel", str(deb), "--only", "*/2.2/plain/lost-address/*")
    done = invoke("plan", *words, folder=checkout)
    id_ = f"{RELEASE}/2.2/plain/lost-address/signal"
    assert (done.stdout, done.stderr) == (f"{id_}\n", "")
    begin(checkout / "results", {}, [cell_of(id_)], further={"kernels": {RELEASE: str(deb)}})
    assert invoke("--dry", "matrix", "--resume", folder=checkout).stdout == f"{id_}\n"


def test_without_the_mirror_a_suite_is_for_the_user_to_mend(tmp_path: Path) -> None:
    words: tuple[str, ...]
    for words in (("plan", "--kernel", "trixie:6.*"), ("kernels", "--suite", "trixie")):
        done = invoke(
            *words,
            XDG_CACHE_HOME=str(tmp_path),
            INVOKE_HATESTER_MIRROR="http://127.0.0.1:9/debian",
            INVOKE_HATESTER_SECURITY_MIRROR="http://127.0.0.1:9/debian",
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "package lists of Debian's suite trixie cannot be fetched" in done.stderr


def test_where_nothing_is_left_a_resumed_run_measures_nothing(checkout: Path) -> None:
    stored(checkout / "results", entry("ok"))
    done = invoke("matrix", "--resume", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert "HAProxy 2.2" in done.stdout


def test_what_makes_no_sense_is_left_out_with_the_reason() -> None:
    done = invoke("plan", "--kernel", "5.10", "--kernel", "6.1", "--setting", "migrate-req")
    assert {id_.partition("/")[0] for id_ in done.stdout.split()} == {"6.1"}
    assert "because migrate-req needs Linux 5.14 or later, and 5.10 is 5.10" in done.stderr


def test_a_host_is_captured_and_one_that_is_not_known_is_refused(
    checkout: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text("frontend main\n    bind :80\n    stats auth admin:horse\n")
    with ssh_server(tmp_path) as place:
        words = ("capture", "production", "--ssh-config", place.config, "--as", "lb1")
        done = invoke(*words, "--config", str(configuration), folder=checkout, HOME=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{configuration}, line 3: user and password of the statistics" in done.stdout
        assert f"captured: {checkout}/matrix/hosts/lb1.yml" in done.stdout
        assert load_host(checkout / "matrix/hosts", "lb1").configuration == (str(configuration),)
        (tmp_path / "known_hosts").unlink()
        refused = invoke(*words, folder=checkout, HOME=str(tmp_path))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "its host key is not known; log in once with `ssh -p " in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert load_host(checkout / "matrix/hosts", "lb1")


@pytest.mark.parametrize("behaviour", ["closes", "resets"])
def test_a_host_that_speaks_no_ssh_is_told_in_one_line(behaviour: str) -> None:
    with server(BEHAVIOURS[behaviour]) as port:
        done = invoke("capture", "127.0.0.1", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("127.0.0.1 cannot be entered: Error reading SSH protocol banner")
