"""Captured hosts: written whole or not at all, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.capture.capture import capture
from hatester.capture.host import copy_of, load_host, name_of, report, write_host
from hatester.util.errors import UserError
from tests.factories.production_host import CONFIGURATION, MadeUpHost

CAPTURED = capture(MadeUpHost())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With one captured host, lb1."""
    write_host(tmp_path, "lb1", "admin@lb1", CAPTURED.host, CAPTURED.files)
    return tmp_path


def test_what_is_written_is_read_again_and_people_can_read_it(folder: Path) -> None:
    assert load_host(folder, "lb1") == CAPTURED.host
    file = copy_of(folder, "lb1", "/etc/haproxy/haproxy.cfg")
    assert file.read_text() == CONFIGURATION
    text = (folder / "lb1.yml").read_text()
    assert text.startswith("# admin@lb1, captured on 20")
    assert "\nunit:\n  text: |" in text
    assert "\nkernel:\n  release: 6.1.0-28-amd64\n" in text


def test_a_host_is_replaced_as_a_whole(folder: Path) -> None:
    path = "/etc/haproxy/new.cfg"
    update = {"configuration": (path,), "files": (path,)}
    write_host(folder, "lb1", "lb1", CAPTURED.host.model_copy(update=update), {path: "\udce9"})
    assert load_host(folder, "lb1").files == (path,)
    files = [file for file in (folder / "lb1").rglob("*") if file.is_file()]
    assert [file.read_bytes() for file in files] == [b"\xe9"]


def test_what_cannot_be_written_leaves_the_old_one(folder: Path) -> None:
    with pytest.raises(UserError, match=r"lb1 cannot be written: "):
        write_host(folder, "lb1", "lb1", CAPTURED.host, {"/a": "", "/a/b": ""})
    assert load_host(folder, "lb1") == CAPTURED.host
    assert {file.name for file in folder.iterdir()} == {"lb1", "lb1.yml", ".lb1.lock"}


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("kernel:", "kernal:", "lb1.yml: there is no key 'kernal'; did you mean kernel?"),
        ("  suite: bookworm", "  suit: x", "lb1.yml: system: there is no key 'suit'; did you mean"),
        ("- /etc/default/haproxy", "- /../x", "lb1.yml: files: 0: '/../x' has . or .. in it"),
        ("- /etc/default/haproxy", "- /etc/x", "lb1.yml: there is no copy of /etc/x"),
        ("192.0.2.2/24", "192.0.2", "lb1.yml: addresses: 1: address: '192.0.2' is not an address"),
        ("reload: systemd", "reload: sytemd", "reload: there is no 'sytemd'; did you mean sys"),
        ("nofile: 200000", "nofile: many", "lb1.yml: limits: nofile: input should be"),
    ],
)
def test_a_mistake_names_the_file_and_the_entry(
    folder: Path, before: str, after: str, sentence: str
) -> None:
    file = folder / "lb1.yml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(UserError) as caught:
        load_host(folder, "lb1")
    assert sentence in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_host_that_was_not_captured_is_told_with_the_choices(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_host(folder, "lb2")
    assert str(caught.value) == "--host: there is no 'lb2'; did you mean lb1? (there are: lb1)."


@pytest.mark.parametrize(
    ("host", "name", "kept"),
    [
        ("lb1.example.org", "", "lb1.example.org"),
        ("admin@lb1", "", "lb1"),
        ("2001:db8::1", "", "2001-db8-1"),
        ("lb1", "first", "first"),
    ],
)
def test_a_host_is_kept_under_its_name(host: str, name: str, kept: str) -> None:
    assert name_of(host, name) == kept


@pytest.mark.parametrize(("host", "name"), [("..", ""), ("x", "../x"), ("x", "a/b"), ("@", "")])
def test_what_cannot_be_a_name_is_refused(host: str, name: str) -> None:
    with pytest.raises(UserError, match=r"^--as: "):
        name_of(host, name)


def test_the_report_says_what_was_found_and_what_was_not() -> None:
    update = {"not_read": ("/x: Permission denied",), "replaced": ("/y, line 3: password",)}
    assert report(CAPTURED.host.model_copy(update=update)).splitlines()[1:] == [
        "HAProxy 2.6.12-1+deb12u1 (package haproxy), reloaded by systemd, "
        "started with -Ws -S /run/haproxy-master.sock",
        "2 files, the configuration is /etc/haproxy/haproxy.cfg",
        "0 sysctls, 3 addresses",
        "not read: 1",
        "  /x: Permission denied",
        "replaced: 1",
        "  /y, line 3: password",
    ]
