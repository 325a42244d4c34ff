"""Captured hosts: written whole or not at all, and read again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hatester.capture.capture import capture
from hatester.capture.captured_host import CONFIGURATION as CONFIGURATION_FILE
from hatester.capture.captured_host import copy_of, load_host, name_of, report, write_host
from hatester.capture.stand_ins import StandIn
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
    assert file.read_text() == CONFIGURATION.replace("main", "frontend1")
    text = (folder / "lb1.yml").read_text()
    assert text.startswith("# admin@lb1, captured on 20")
    assert "\nunit:\n  type: notify\n" in text
    assert "\nkernel:\n  release: 6.1.0-28-amd64\n" in text


def test_a_host_is_replaced_as_a_whole(folder: Path) -> None:
    path = "/etc/haproxy/list1"
    files = {CONFIGURATION_FILE: "global\n", path: "é\n"}
    host = CAPTURED.host.model_copy(update={"files": tuple(files)})
    write_host(folder, "lb1", "lb1", host, files)
    write_host(folder, "lb1", "lb1", host, files)
    assert load_host(folder, "lb1").files == tuple(files)
    written = sorted(file for file in (folder / "lb1").rglob("*") if file.is_file())
    assert [file.read_bytes() for file in written] == [b"global\n", b"\xc3\xa9\n"]


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "hosts"
    before = os.umask(0)
    try:
        write_host(folder, "lb1", "lb1", CAPTURED.host, CAPTURED.files)
    finally:
        os.umask(before)
    found = [folder, *folder.rglob("*")]
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in found}
    assert modes.pop(".lb1.lock") & 0o111 == 0
    assert modes == {
        "hosts": 0o700, "lb1": 0o700, "etc": 0o700, "haproxy": 0o700,
        "haproxy.cfg": 0o600, "lb1.yml": 0o600,
    }  # fmt: skip


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
        (
            "- /etc/haproxy/hap",
            "- /../x/hap",
            "lb1.yml: files: 0: '/../x/haproxy.cfg' has . or .. ",
        ),
        ("- /etc/haproxy/hap", "- /etc/x", "lb1.yml: there is no copy of /etc/xroxy.cfg"),
        ("192.0.2.2/24", "192.0.2", "lb1.yml: addresses: 1: address: '192.0.2' is not an address"),
        ("reload: systemd", "reload: sytemd", "reload: there is no 'sytemd'; did you mean sys"),
        ("nofile: 200000", "nofile: many", "lb1.yml: limits: nofile: expected a whole"),
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


def test_a_host_that_was_not_captured_is_reported_with_the_choices(folder: Path) -> None:
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
    with pytest.raises(UserError, match=r"^--as: " if name else r"^HOST: .* Name that with --as"):
        name_of(host, name)


def test_the_report_counts_and_quotes_nothing() -> None:
    update = {
        "not_read": ("certificate1 (line 3): Permission denied",),
        "not_understood": ("bind, line 7",),
        "left_out": {"acl": 12, "http-request": 3},
        "stand_ins": {"/etc/haproxy/map1": StandIn(kind="map", entries=3)},
    }
    assert report(CAPTURED.host.model_copy(update=update)).splitlines()[1:] == [
        "HAProxy 2.6.12-1+deb12u1 (package haproxy), reloaded by systemd, started with -Ws",
        "1 configuration, 0 lists of certificates; files to be made: 1 of map",
        "0 sysctls, 3 addresses, 1 setting of the unit",
        "left out: 2",
        "  12 acl",
        "  3 http-request",
        "not read: 1",
        "  certificate1 (line 3): Permission denied",
        "left out though a reload depends on them: 1",
        "  bind, line 7",
    ]
