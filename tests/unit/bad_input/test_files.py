"""Files of every wrong kind, for each flag that takes one, and scenarios that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.cli.program import MISTAKE
from tests.factories.bad_input import LONG, require_refusal
from tests.factories.project import call, copy_matrix

FILES = [
    ("matrix --config none.cfg", "none.cfg cannot be read: No such file or directory."),
    ("matrix --config docs", "docs cannot be read: Is a directory."),
    ("matrix --config fifo", "fifo is not a regular file."),
    ("matrix --config /dev/null", "/dev/null is not a regular file."),
    ("matrix --config empty", "empty: it binds no address"),
    (
        "matrix --config global.cfg",
        "global.cfg: it binds no address: there is no `bind` line with one.",
    ),
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
    ("matrix --expect nope.yml", "nope.yml cannot be read: No such file or directory."),
    ("matrix --expect fifo.yml", "fifo.yml is not a regular file."),
    ("matrix --expect docs", "docs is not a run"),
    ("matrix --expect good.cfg", "good.cfg"),
    ("matrix --config binary.cfg", "binary.cfg is not UTF-8 text."),
    ("matrix --config nul.cfg", "nul.cfg is not text: it has a NUL byte."),
    ("matrix --config long.cfg", "long.cfg is too long: more than 4194304 characters."),
    ("matrix --config bare.cfg", "bare.cfg: it binds no address: there is no `bind` line with"),
    ("matrix --config env.cfg", "env.cfg, line 2: the variable VIP has no value. Give it with"),
    ("matrix --config dangling", "dangling cannot be read: No such file or directory."),
    ("matrix --config loop", "loop cannot be read: Too many levels of symbolic links."),
    ("matrix --config good.cfg/x", "good.cfg/x cannot be read: Not a directory."),
    ("matrix --config .", ". cannot be read: Is a directory."),
    ("matrix --config ~nobodyx/x", "~nobodyx/x cannot be read: No such file or directory."),
    ("matrix --config é.cfg", "é.cfg cannot be read: No such file or directory."),
    ("matrix --config=-x", "-x cannot be read: No such file or directory."),
    ("matrix --config /dev/zero", "/dev/zero is not a regular file."),
    (f"matrix --config {LONG}", "aaa cannot be read: File name too long."),
    ("matrix --config good.cfg --after docs", "docs cannot be read: Is a directory."),
    ("matrix --config good.cfg --after empty", "empty: it binds no address"),
    ("matrix --config good.cfg --after global.cfg", "global.cfg: it binds no address"),
    ("matrix --config good.cfg --after binary.cfg", "binary.cfg is not UTF-8 text."),
    ("matrix --config good.cfg --after /dev/null", "/dev/null is not a regular file."),
    ("matrix --config good.cfg --file a=good.cfg", "--file: 'a=good.cfg' is not PATH=LOCAL"),
    ("matrix --config good.cfg --file /a/../b=good.cfg", "is not PATH=LOCAL"),
    ("matrix --config good.cfg --file /a=", "--file: '/a=' is not PATH=LOCAL"),
    ("matrix --config good.cfg --file =good.cfg", "--file: '=good.cfg' is not PATH=LOCAL"),
    ("matrix --config good.cfg --file /a=docs", "docs cannot be read: Is a directory."),
    ("matrix --config good.cfg --file /a=binary.cfg", "binary.cfg is not UTF-8 text."),
    ("matrix --config good.cfg --file /a=nul.cfg", "nul.cfg is not text: it has a NUL byte."),
    ("matrix --config good.cfg --file /a=long.cfg", "long.cfg is too long"),
    ("matrix --config good.cfg --file /a=dangling", "dangling cannot be read"),
    ("matrix --config good.cfg --env A", "--env: 'A' is not NAME=VALUE"),
    ("matrix --config good.cfg --env =x", "--env: '=x' is not NAME=VALUE"),
    ("matrix --config good.cfg --env 'A B=x'", "--env: 'A B=x' is not NAME=VALUE"),
    ("matrix --config good.cfg --env é=x", "--env: 'é=x' is not NAME=VALUE"),
    ("matrix --config good.cfg --env 'A=\t'", r"--env: 'A=\t' is not NAME=VALUE"),
    ("matrix --config good.cfg --haproxy ./docs", "docs: it is a folder."),
    ("matrix --config good.cfg --kernel nope.deb", "nope.deb: there is no such file."),
    ("matrix --config good.cfg --setting nope", "--setting: there is no 'nope'"),
    ("matrix --config good.cfg --host blank", "--host: its configuration makes the scenarios"),
    ("matrix --config good.cfg --expect other.yml", "--expect: the cells of a configuration are"),
    ("matrix --host blank", "HERE/matrix/hosts/blank.yml: kernel: this key is missing."),
    ("matrix --host list", "HERE/matrix/hosts/list.yml: expected keys (kernel,"),
    ("matrix --host unknown", "HERE/matrix/hosts/unknown.yml: there is no key 'nope'"),
    ("matrix --host fifo", "HERE/matrix/hosts/fifo.yml is not a regular file."),
    ("matrix --host folder", "HERE/matrix/hosts/folder.yml cannot be read: Is a directory."),
    ("matrix --host binary", "HERE/matrix/hosts/binary.yml is not UTF-8 text."),
    ("matrix --host blank.yml", "--host: there is no 'blank.yml'; did you mean blank?"),
    ("matrix --host /etc/passwd", "--host: there is no '/etc/passwd'"),
    ("matrix --host blank --scenario hitless", "leave out --config and --scenario."),
    ("matrix --host blank --file /a=good.cfg", "--file: is only for --config."),
    ("matrix --host blank --after good.cfg", "--after: needs --config"),
    ("matrix --expect none.yml", "none.yml: expected patterns over cell ids with outcomes, got no"),
    ("matrix --expect list.yml", "list.yml: expected patterns over cell ids with outcomes, got ["),
    ("matrix --expect number.yml", "number.yml: expected patterns over cell ids with outcomes"),
    ("matrix --expect README.md", "README.md: expected patterns over cell ids with outcomes"),
    ("matrix --expect open.yml", "open.yml, line 2: a value is missing at the end."),
    ("matrix --expect tab.yml", "tab.yml, line 2: a tab indents, or a value needs quotes."),
    ("matrix --expect twice.yml", "twice.yml, line 2: 'a' comes twice."),
    ("matrix --expect loop.yml", "loop.yml, line 1: an alias contains itself."),
    ("matrix --expect nul.yml", "nul.yml is not text: it has a NUL byte."),
    ("matrix --expect bell.yml", "bell.yml is not YAML: it has the character U+0007, at position"),
    ("matrix --expect outcome.yml", "outcome.yml: *: there is no 'nope' (there are: ok,"),
    ("matrix --expect keys.yml", "keys.yml: *: expected an outcome (ok, unasked, lossy, outage,"),
    ("matrix --expect blank.yml", "blank.yml: *: expected an outcome (ok, unasked, lossy, outage"),
    ("matrix --expect other.yml", "other.yml: nothing there matches any of the 100 cells"),
    ("matrix --expect binary.cfg", "binary.cfg is not UTF-8 text."),
    ("matrix --expect long.cfg", "long.cfg is too long"),
    ("matrix --expect /dev/null", "/dev/null is not a regular file."),
    ("matrix --expect dangling", "dangling points at nowhere, which is not there"),
    ("matrix --expect nope", "results: there is no 'nope' (there are: none)."),
    ("matrix --expect none/run.json", "results: there is no 'none/run.json'"),
    ("capture x --ssh-config nope", "--ssh-config: there is no file nope."),
    ("capture x --ssh-config docs", "--ssh-config: there is no file docs."),
    ("capture x --ssh-config fifo", "--ssh-config: there is no file fifo."),
]


@pytest.mark.parametrize(("line", "part"), FILES)
def test_a_bad_file_gets_one_sentence(place: Path, line: str, part: str) -> None:
    require_refusal(place, line, MISTAKE, part)


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
