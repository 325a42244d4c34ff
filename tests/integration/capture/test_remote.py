"""Looking at a host by its shell; the host is this one."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.capture import remote
from hatester.capture.capture import capture
from hatester.capture.remote import Answer, Remote
from hatester.util.errors import UserError
from tests.factories.production_host import shell

HERE = Remote(shell)


def test_each_command_has_its_answer() -> None:
    answers = HERE.ask(
        {
            "words": "echo two; echo lines",
            "input": "cat",
            "fails": "echo said; exit 3",
            "missing": "no-such-command",
            "colours": r"printf '\033[31mred\a'",
        }
    )
    assert answers == {
        "words": Answer("two\nlines\n"),
        "input": Answer(""),
        "fails": Answer(problem="failed with status 3"),
        "missing": Answer(problem="is not there"),
        "colours": Answer("?[31mred?"),
    }


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    quoted, pipe, folder = tmp_path / "it's $HOME", tmp_path / "pipe", tmp_path / "folder"
    quoted.write_bytes(b"caf\xe9\n")
    os.mkfifo(pipe)
    folder.mkdir()
    (folder / ".hidden").write_bytes(b"\0")
    answers = HERE.read(map(str, (quoted, pipe, folder, folder / ".hidden", tmp_path / "none")))
    assert [*answers.values()] == [
        Answer("caf\udce9\n"),
        Answer(problem="Neither file nor folder"),
        Answer(names=(".hidden",)),
        Answer(problem="Not a text"),
        Answer(problem="No such file or directory"),
    ]


def test_lines_are_counted_on_the_host(tmp_path: Path) -> None:
    full, empty = tmp_path / "it's a map", tmp_path / "empty"
    full.write_text("# keys\na b\n\n  c d\n\te")
    empty.touch()
    answers = HERE.count(map(str, (full, empty, tmp_path, tmp_path / "none")))
    assert [each.text.strip() for each in answers.values()] == ["3", "0", "", ""]
    assert [bool(each.problem) for each in answers.values()] == [False, False, True, True]


def test_this_host_is_captured(tmp_path: Path) -> None:
    (tmp_path / "keys.lst").write_text("one\ntwo\n")
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "frontend main\n    bind 127.0.0.1:80\n    stats auth admin:horse\n"
        f"    http-request deny if {{ path -f {tmp_path}/keys.lst }}\n"
    )
    captured = capture(HERE, [str(file)])
    [text] = captured.files.values()
    assert text == (
        "frontend frontend1\n    bind 127.0.0.1:80\n\n"
        "    acl map1 str(x),map_str(/etc/haproxy/map1,x) -m found\n"
    )
    assert captured.host.stand_ins["/etc/haproxy/map1"].entries == 2
    assert captured.host.left_out == {"http-request": 1, "stats": 1}
    assert captured.host.kernel.release in Path("/proc/version").read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_reported(tmp_path: Path) -> None:
    for name in ("file", "folder"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).touch()
        (tmp_path / name).chmod(0)
    answers = HERE.read([str(tmp_path / "file"), str(tmp_path / "folder")])
    assert {each.problem for each in answers.values()} == {"Permission denied"}


def test_private_key_stays_on_its_host(tmp_path: Path) -> None:
    file = tmp_path / "site.pem"
    file.write_text(
        "before\n-----BEGIN RSA PRIVATE KEY-----\nU0VDUkVU\nU0VDUkVU\n"
        "-----END RSA PRIVATE KEY-----\nafter"
    )
    said = []

    def listen(script: str) -> bytes:
        said.append(shell(script))
        return said[-1]

    answer = Remote(listen).read([str(file)])
    assert answer[str(file)].text == (
        "before\n-----BEGIN RSA PRIVATE KEY-----\n\n\n-----END RSA PRIVATE KEY-----\nafter"
    )
    # As it crosses the wire.
    data = b"".join(base64.b64decode(line) for line in said[0].split(b"\n") if b"@" not in line)
    assert b"after" in data
    assert b"U0VDUkVU" not in data


def test_long_answers_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    script = remote._SCRIPT.replace(f"timeout -k 1 {remote.LOOK_SECONDS}", "timeout -k 1 0.2")
    monkeypatch.setattr(remote, "_SCRIPT", script)
    answers = HERE.ask({"slow": "sleep 30", "endless": "yes", "well": "echo well"})
    assert answers["slow"].problem == "took longer than 10 s"
    assert answers["endless"].problem == "Answer garbled, or longer than 4 MiB"
    assert answers["well"].text == "well\n"


def test_shell_banner_is_not_an_answer() -> None:
    assert Remote(lambda script: b"Welcome!\n" + shell(script)).ask({"x": "echo x"}) == {
        "x": Answer("x\n")
    }


@given(st.binary() | st.text(alphabet="@0123456789end\nABCD=", max_size=60).map(str.encode))
def test_no_answer_makes_it_fall_over(said: bytes) -> None:
    try:
        answers = Remote(lambda _script: said).ask({"a": "x", "b": "y"})
    except UserError:
        assert b"@end" not in said.split(b"\n")
    else:
        assert [*answers] == ["a", "b"]
