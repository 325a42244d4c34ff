"""Commands that cannot work, by kind: one sentence each, and nothing is made."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest

from hatester.artifacts import haproxy
from hatester.cli import MISTAKE, STOP_BISECTION
from hatester.util.errors import MeasurementError
from hatester.util.paths import PROJECT
from tests.factories.project import NOWHERE, call, copy_matrix

ID = "6.1/2.2/plain/lost-address/signal"
CELL = "is not a cell's id: kernel/build/setting/scenario/method"
VALUE = "expected a value. Help: ./bootstrap invoke"
FORBIDDEN = (
    "[A-Za-z", "[0-9", "pydantic", "validation error", "Input should", "input should",
    "field required", "should match", "Traceback", " is no ", "Errno", "NoneType", "[key]",
)  # fmt: skip
"""Words of libraries, and of regular expressions, that no message has."""

COMMANDS = [
    ("nope", "there is no command 'nope'."),
    ("plam", "there is no command 'plam'; did you mean plan?"),
    ("''", "there is no command ''"),
    ("--json", "there is no flag '--json'."),
    ("--quiett", "there is no flag '--quiett'"),
    ("-x plan", "there is no flag '-x'"),
    ("plan extra", "plan: 'extra' belongs to no flag."),
    ("plan matrx", "there is no command 'matrx'; did you mean matrix?"),
    ("plan -k 6.1", "plan: there is no flag '-k'."),
    ("plan --kernl 6.1", "plan: there is no flag '--kernl'; did you mean --kernel?"),
    ("plan --json=x", "plan: 'x' belongs to no flag."),
    ("plan --repeat 2", "plan: there is no flag '--repeat'"),
    ("report", "report: expected RUN."),
    ("compare latest", "compare: expected AFTER."),
    ("export", "export: expected CELL, FOLDER."),
    ("shell", "shell: expected CELL."),
    ("capture", "capture: expected HOST."),
    ("list", "list: expected KIND."),
    ("init", "init: expected KIND, NAME."),
]
VALUES = [
    *((f"plan --{flag}", f"plan: --{flag}: {VALUE} plan") for flag in (
        "kernel", "haproxy", "setting", "scenario", "method", "only", "skip", "matrix",
    )),
    *((f"plan --{flag} ''", f"plan: --{flag}: {VALUE} plan") for flag in (
        "kernel", "haproxy", "setting", "scenario", "method", "only", "skip", "matrix",
    )),
    *((f"matrix --{flag}=", f"matrix: --{flag}: {VALUE} matrix") for flag in (
        "config", "after", "host", "expect", "failed", "time-limit", "keep", "clock", "jobs",
        "repeat", "seed", "file", "env", "probe-interval", "table-format",
    )),
    ("plan --kernel --json", f"plan: --kernel: {VALUE} plan"),
    ("matrix --config --after x", f"matrix: --config: {VALUE} matrix"),
    ("clean --part", f"clean: --part: {VALUE} clean"),
    ("clean --older-than ''", f"clean: --older-than: {VALUE} clean"),
    ("bench --part=", f"bench: --part: {VALUE} bench"),
    ("list-mirror --flavour ''", f"list-mirror: --flavour: {VALUE} list-mirror"),
    ("capture x --as ''", f"capture: --as: {VALUE} capture"),
]  # fmt: skip
NAMES = [
    ("plan --matrix nope", "--matrix: there is no 'nope' (there are: default, full)."),
    ("plan --matrix ful", "--matrix: there is no 'ful'; did you mean full?"),
    ("plan --matrix kernels", "--matrix: there is no 'kernels'"),
    ("plan --matrix ../x", "--matrix: there is no '../x'"),
    ("plan --matrix ./fifo", "--matrix: there is no './fifo'"),
    ("plan --setting nope", "--setting: there is no 'nope'"),
    ("plan --setting plane", "--setting: there is no 'plane'; did you mean plain?"),
    ("plan --scenario ../x", "--scenario: there is no '../x'"),
    ("plan --scenario hitles", "--scenario: there is no 'hitles'; did you mean hitless?"),
    ("plan --method reload", "--method: there is no 'reload'"),
    ("plan --only x/*", "--only: 'x/*' matches none of the 100 selected cells"),
    ("plan --skip x", "--skip: 'x' matches none of the 100 selected cells"),
    ("plan --skip '*'", "No cell is left: --skip leaves out everything that is selected."),
    ("plan --method systemd --haproxy docker://haproxy:1.8", "No cell is left: systemd needs"),
    ("matrix --keep sometimes", "--keep: there is no 'sometimes'"),
    ("matrix --clock vitual", "--clock: there is no 'vitual'; did you mean virtual?"),
    ("matrix --clock fast", "--clock: there is no 'fast'"),
    ("matrix --table-format ascii", "--table-format: there is no 'ascii'"),
    ("matrix --failed=some", "--failed: there is no 'some'"),
    ("clean --part kernel", "--part: there is no 'kernel'; did you mean kernels?"),
    ("bench --part start", "--part: there is no 'start'; did you mean starts?"),
    ("kernels --flavour xen", "--flavour: there is no 'xen'"),
    ("kernels --suite 'a b'", "--suite: 'a b' is not the name of a suite."),
]
NUMBERS = [
    ("matrix --repeat 0", "--repeat: expected a whole number from 1 to 10000, got '0'."),
    ("matrix --repeat x", "--repeat: expected a whole number"),
    ("matrix --repeat 1.5", "--repeat: expected a whole number"),
    ("matrix --jobs -1", "--jobs: expected a whole number from 0 to 10000, got '-1'."),
    ("matrix --jobs many", "--jobs: expected a whole number"),
    ("matrix --jobs 99999999999999", "--jobs: expected a whole number"),
    ("matrix --jobs ٣", "--jobs: expected a whole number"),
    ("matrix --seed x", "--seed: expected a whole number"),
    ("matrix --seed 1 --repeat 2", "--seed: with --repeat, the seeds are 0"),
    ("matrix --client keepalive", "--client: there is no 'keepalive'; did you mean keep-alive"),
    ("matrix --load fast", "--load: 'fast' is not a rate such as 500/s"),
    (
        "matrix --load 2000/s",
        "scenario lost-address: clients: load: 2000 connections a second are too many for 4 addr",
    ),
    ("matrix --probe-interval 1ms", "--probe-interval: '1ms' is not a time from 5ms to 1s"),
    ("matrix --probe-interval 2s", "--probe-interval: '2s' is not a time from 5ms to 1s"),
    ("matrix --probe-interval x", "--probe-interval: 'x' is not a time"),
    ("matrix --time-limit 5x", "--time-limit: '5x' is not a time such as 90s"),
    ("matrix --time-limit -1", "--time-limit: '-1' is not a time"),
    ("clean --older-than 30", "--older-than: '30' is not a time such as 90s"),
    (f"shell {ID} --step x", "--step: expected a whole number"),
    (f"shell {ID} --step 9", "--step: there is no step 9; the last one is step 7."),
    ("capture x --port ssh", "--port: expected a whole number from 1 to 65535"),
    ("capture x --port 99999", "--port: expected a whole number from 1 to 65535"),
]
BUILDS = [
    ("plan --haproxy 9.9", "--haproxy: there is no '9.9' (there are: 2.2,"),
    ("plan --haproxy Sid", "--haproxy: there is no 'Sid'"),
    ("plan --haproxy sid:", "--haproxy: there is no 'sid:'"),
    ("plan --haproxy :", "--haproxy: there is no ':'"),
    ("plan --haproxy sid:x", "--haproxy: version: expected a version such as 3.0"),
    ("plan --haproxy ./none/haproxy", "none/haproxy is missing."),
    ("plan --haproxy ./none.deb", "none.deb is missing."),
    ("plan --haproxy none.deb", "none.deb is missing."),
    ("plan --haproxy ~nobodyx/haproxy", "~nobodyx/haproxy is missing."),
    ("plan --haproxy ./docs", "docs: it is a folder."),
    ("plan --haproxy /", "--haproxy /: it is a folder."),
    ("plan --haproxy ./README.md", "README.md is not a program that can be read"),
    ("plan --haproxy /bin/ls", "ls is not a HAProxy: it has no version of one."),
    ("plan --haproxy /dev/null", "--haproxy /dev/null: it is not a regular file."),
    ("plan --haproxy ./fifo", "fifo: it is not a regular file."),
    ("plan --haproxy ./fifo.deb", "fifo.deb is not a regular file."),
    ("plan --haproxy ./docs.deb", "docs.deb is not a regular file."),
    ("plan --haproxy ./empty", "empty: it is empty."),
    ("plan --haproxy docker://", "--haproxy: image: 'docker://' is not an image"),
    ("plan --haproxy 'docker://a b'", "--haproxy: image: 'docker://a b' is not an image"),
    ("plan --haproxy oci:", "--haproxy: image: 'oci:' names no file"),
    ("plan --haproxy oci:none:tag", "none is missing."),
    ("plan --haproxy oci:docs", "docs is not an OCI layout: it has no index.json."),
    ("plan --haproxy oci:empty", "empty is not an OCI layout"),
    ("plan --haproxy oci:bad:tag", "bad is not an OCI layout"),
    ("plan --haproxy oci:pipe", "pipe is not an OCI layout"),
    ("plan --haproxy oci:layout:tug", "layout has no tag 'tug' (there are: tag)."),
    ("plan --haproxy oci-archive:none.tar", "none.tar is missing."),
    ("plan --haproxy oci-archive:empty", "empty is not an archive of an image."),
    ("plan --haproxy docker-archive:fifo", "fifo is not an archive of an image."),
    ("plan --haproxy docker-archive:docs", "docs is not an archive of an image."),
    ("builds --haproxy ./docs", "docs: it is a folder."),
    ("builds --haproxy 1.8", "--haproxy: there is no '1.8'"),
    ("versions --haproxy 1.8", "--haproxy: there is no '1.8'"),
    ("matrix --haproxy ./docs", "docs: it is a folder."),
    ("matrix --haproxy ./fifo", "fifo: it is not a regular file."),
]
KERNELS = [
    ("plan --kernel 6.2", "--kernel: there is no '6.2'"),
    ("plan --kernel 6.1=x", "--kernel: there is no '6.1=x'; did you mean 6.1?"),
    ("plan --kernel ./nope.deb", "nope.deb: there is no such file."),
    ("plan --kernel nope.deb", "nope.deb: there is no such file."),
    ("plan --kernel ./nope", "nope: there is no such file."),
    ("plan --kernel '/nowhere/*.deb'", "/nowhere/*.deb: there is no Debian package."),
    ("plan --kernel ./docs", "docs: there is no Debian package."),
    ("plan --kernel ./fifo", "fifo: it is not a regular file."),
    ("plan --kernel ./fifo.deb", "fifo.deb: it is not a regular file."),
    ("plan --kernel /dev/null", "/dev/null: it is not a regular file."),
    ("plan --kernel ./README.md", "README.md is not a kernel that can be booted"),
    ("plan --kernel ./empty", "empty is not a kernel that can be booted"),
    ("plan --kernel /bin/ls", "/bin/ls is not a kernel that can be booted"),
    ("plan --kernel ~nobodyx/x.deb", "names no folder: there is no such user."),
    ("plan --kernel 6.2:x", "--kernel: there is no '6.2:x'"),
    ("plan --kernel snapshot:", "snapshot: expected a name of letters, digits and .+_-, got ''."),
    ("plan --kernel bookworm:x", "version: expected a version such as 6.1, a release"),
    ("plan --kernel bookworm:6.1:zen", "flavour: there is no 'zen' (there are: cloud,"),
    ("plan --kernel bookworm:6.1:rt:x", "of a suite it takes SUITE:VERSION:FLAVOUR."),
    ("images --kernel 6.2", "--kernel: there is no '6.2'"),
    ("images --kernel ./fifo", "fifo: it is not a regular file."),
    (f"shell {ID} --kernel /etc/passwd", "/etc/passwd is not a kernel that can be booted"),
]  # fmt: skip
FILES = [
    ("matrix --config none.cfg", "none.cfg cannot be read: No such file or directory."),
    ("matrix --config docs", "docs cannot be read: Is a directory."),
    ("matrix --config fifo", "fifo is not a regular file."),
    ("matrix --config /dev/null", "/dev/null is not a regular file."),
    ("matrix --config empty", "empty: it binds no address"),
    ("matrix --config global.cfg", "global.cfg: it binds no address: there is no `bind` line."),
    ("matrix --config README.md", "README.md: it binds no address"),
    ("matrix --config /bin/ls", "/bin/ls is not UTF-8 text."),
    ("matrix --config good.cfg --after fifo", "fifo is not a regular file."),
    ("matrix --config good.cfg --after none", "none cannot be read"),
    ("matrix --config good.cfg --file x", "--file: 'x' is not PATH=LOCAL"),
    ("matrix --config good.cfg --file /a=none", "none cannot be read"),
    ("matrix --config good.cfg --file /a=fifo", "fifo is not a regular file."),
    ("matrix --config good.cfg --env 1=2", "--env: '1=2' is not NAME=VALUE"),
    ("matrix --config good.cfg --scenario hitless", "--config: its addresses make the scenarios"),
    ("matrix --after good.cfg", "--after: needs --config"),
    ("matrix --file /a=good.cfg", "--file: is only for --config."),
    ("matrix --env a=b", "--env: is only for --config."),
    ("matrix --host nope", "--host: there is no 'nope'"),
    ("matrix --host ../x", "--host: there is no '../x'"),
    ("matrix --expect none.yml", "none.yml cannot be read"),
    ("matrix --expect fifo.yml", "fifo.yml is not a regular file."),
    ("matrix --expect docs", "docs is not a run"),
    ("matrix --expect good.cfg", "good.cfg"),
]
RUNS = [
    ("matrix --resume", "results: there is no 'latest' (there are: none)."),
    ("matrix --failed", "results: there is no 'latest'"),
    ("matrix --resume --kernel 6.1", "--resume: the run has its cells and flags already"),
    ("report nope", "results: there is no 'nope'"),
    ("report ../..", "../.. is not a run"),
    ("report ./fifo", "fifo is not a run"),
    ("report /dev/null", "/dev/null is not a run"),
    ("report docs/", "docs is not a run"),
    ("compare a b", "results: there is no 'a'"),
    (f"export x {ID}", f"'x' {CELL}"),
    (f"export {ID} out", "results: there is no 'latest'"),
    ("shell x", f"'x' {CELL}"),
    ("shell 6.1/2.2", f"'6.1/2.2' {CELL}"),
    ("shell ''", "shell: expected CELL."),
    ("shell 6.1/2.2/plain/nope/signal", "scenarios: there is no 'nope'"),
    ("shell 6.1/nope/plain/hitless/signal", "haproxy: there is no 'nope'"),
    ("shell nope/2.2/plain/hitless/signal", "kernels: there is no 'nope'"),
    ("capture x --as ../x", "--as: '../x' cannot be the name of x"),
    ("capture 'a b'", "HOST: 'a b' is not a valid name for ssh."),
]
BISECTIONS = [
    ("bisect --bad ok", "--bad: there is no 'ok'"),
    ("bisect --kernel ./nope.deb", "nope.deb: there is no such file."),
    ("bisect --haproxy ./docs", "docs: it is a folder."),
    ("bisect --haproxy ./fifo", "fifo: it is not a regular file."),
    ("bisect --kernel", f"bisect: --kernel: {VALUE} bisect"),
    ("bisect --nope", "bisect: there is no flag '--nope'"),
    ("bisect --repeat x", "--repeat: expected a whole number"),
]
ALL = [*COMMANDS, *VALUES, *NAMES, *NUMBERS, *BUILDS, *KERNELS, *FILES, *RUNS]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a matrix, and things of the wrong kind beside it."""
    folder = copy_matrix(tmp_path_factory.mktemp("place") / "checkout")
    for name in ("docs", "docs.deb", "bad", "layout", "pipe"):
        (folder / name).mkdir()
    for name in ("fifo", "fifo.deb", "fifo.yml", "pipe/index.json"):
        os.mkfifo(folder / name)
    (folder / "empty").touch()
    (folder / "README.md").write_text("# A page\n")
    (folder / "global.cfg").write_text("global\n    daemon\n")
    (folder / "good.cfg").write_text("frontend a\n    bind 192.168.42.43:80\n")
    (folder / "bad/index.json").write_text("[]")
    tag = {"annotations": {"org.opencontainers.image.ref.name": "tag"}}
    (folder / "layout/index.json").write_text(json.dumps({"manifests": [tag]}))
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(folder / "layout/index.json", "index.json")
    return folder


def call_offline(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where no mirror can be reached."""
    return call(
        *words,
        folder=folder,
        INVOKE_HATESTER_MIRROR=NOWHERE,
        INVOKE_HATESTER_SECURITY_MIRROR=NOWHERE,
    )


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        *((line, MISTAKE, part) for line, part in ALL),
        *((line, STOP_BISECTION, part) for line, part in BISECTIONS),
    ],
    ids=[line for line, _ in (*ALL, *BISECTIONS)],
)
def test_bad_input_gets_one_sentence(place: Path, line: str, code: int, part: str) -> None:
    there = [*os.walk(place)]
    done = call_offline(*shlex.split(line), folder=place)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
    message = done.stderr.replace("there is no ", "")
    assert not [word for word in FORBIDDEN if word in message]
    assert [*os.walk(place)] == there


@pytest.mark.parametrize("word", ["oci:layout", "oci:layout:tag", "oci-archive:image.tar:x"])
def test_an_image_that_is_there_is_planned(place: Path, word: str) -> None:
    done = call("plan", "--haproxy", word, folder=place)
    assert (done.returncode, len(done.stdout.split())) == (0, 20), done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("scenario.yml", "steps:", "stops:", "scenario.yml: there is no key 'stops'; did you mean"),
        ("with.cfg", "bind ", "#", "no configuration binds an address, so nothing can be observed"),
        ("with.cfg", "global\n", "global\n errorfile 503 /etc/haproxy/lost.http\n",
            "with.cfg: '/etc/haproxy/lost.http' is missing: put lost.http beside scenario.yml."),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_work_is_refused(
    tmp_path: Path, file: str, old: str, new: str, sentence: str
) -> None:
    folder = copy_matrix(tmp_path / "checkout")
    place = folder / "matrix/scenarios/lost-address"
    for each in place.glob("*.cfg") if old == "bind " else [place / file]:
        text = each.read_text()
        assert old in text
        each.write_text(text.replace(old, new))
    done = call("plan", "--scenario", "lost-address", folder=folder)
    assert (done.returncode, done.stdout) == (MISTAKE, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
    ],
)
def test_settings_of_another_kind_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, sentence: str
) -> None:
    (tmp_path / "tasks.py").symlink_to(PROJECT / "tasks.py")
    if content is not None:
        (tmp_path / "invoke.yaml").write_text(content)
    monkeypatch.setattr("hatester.cli.PROJECT", tmp_path)
    done = call("plan", root=tmp_path)
    assert done.returncode == (MISTAKE if sentence else 0), done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert "Traceback" not in done.stderr


def test_a_suite_without_such_a_build_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_archive: object, suite: str, version: str | None) -> None:
        raise MeasurementError(f"the mirror has no suite {suite} with {version}")

    monkeypatch.setattr(haproxy, "of_suite", refuse)
    for words in (("plan",), ("matrix",), ("builds",)):
        done = call_offline(*words, "--haproxy", "nope:9.9", folder=place)
        assert (done.returncode, done.stdout) == (MISTAKE, "")
        assert done.stderr == "--haproxy nope:9.9: the mirror has no suite nope with 9.9.\n"
