"""Binaries: their versions, and which libraries they need from where."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts.haproxy_binary import Program, Root, read_program, version_of
from hatester.util.errors import MeasurementError
from tests.factories.elf import AARCH64, elf, haproxy

LOADER = "/lib64/ld-linux-x86-64.so.2"


def program(folder: Path, files: dict[str, bytes], *further: str) -> Program:
    """Return the HAProxy of a root with these files."""
    for path, content in files.items():
        (folder / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.lstrip("/")).write_bytes(content)
    return read_program(Root(folder), "/usr/local/sbin/haproxy", further)


def test_a_static_binary_needs_nothing(tmp_path: Path) -> None:
    found = program(tmp_path, {"/usr/local/sbin/haproxy": haproxy("3.3-dev5-1a2b3c-7")})
    assert (found.version, dict(found.files), found.links) == ("3.3-dev5-1a2b3c-7", {}, {})


def test_libraries_and_what_they_need_come_along(tmp_path: Path) -> None:
    files = {
        "/usr/local/sbin/haproxy": haproxy(needed=["libssl.so.3", "libc.so.6"], loader=LOADER),
        LOADER: elf(),
        "/lib/x86_64-linux-gnu/libc.so.6": elf(),
        "/usr/lib64/libssl.so.3": elf(needed=["libcrypto.so.3", "libc.so.6"]),
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3": elf(),
        "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1": elf(needed=["libc.so.6"]),
        "/usr/lib/x86_64-linux-gnu/libnot.so": elf(),
    }
    found = program(tmp_path, files)
    assert set(found.files) == {
        LOADER, "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libssl.so.3",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
    }  # fmt: skip
    assert found.links == {}


@pytest.mark.parametrize(
    ("how", "place"),
    [
        ({"runpath": "$ORIGIN/../own"}, "/usr/local/own/libx.so"),
        ({"runpath": "/none:${ORIGIN}"}, "/usr/local/sbin/libx.so"),
        ({"rpath": "/opt/x"}, "/opt/x/libx.so"),
        ({}, "/opt/environment/libx.so"),
        ({}, "/opt/configured/libx.so"),
        ({}, "/opt/musl/libx.so"),
        ({}, "/usr/local/lib/libx.so"),
    ],
)
def test_a_library_in_a_folder_of_its_own_is_linked_to(
    tmp_path: Path, how: dict[str, str], place: str
) -> None:
    files = {
        "/usr/local/sbin/haproxy": haproxy(needed=["libx.so"], **how),
        place: elf(needed=["liby.so"]),
        "/usr/lib/liby.so": elf(),
        "/etc/ld.so.conf": b"# folders\ninclude ld.so.conf.d/*.conf\ninclude /etc/ld.so.conf\n",
        "/etc/ld.so.conf.d/own.conf": b"/opt/configured # ours\n",
        "/etc/ld-musl-x86_64.path": b"/opt/other:/opt/musl\n",
    }
    found = program(tmp_path, files, "/opt/environment")
    assert set(found.files) == {place, "/usr/lib/liby.so"}
    assert found.links == {"/usr/lib/libx.so": place, "/usr/lib64/libx.so": place}


def test_the_rpath_of_the_binary_is_for_its_libraries_as_well(tmp_path: Path) -> None:
    files = {
        "/usr/local/sbin/haproxy": haproxy(needed=["libx.so"], rpath="/opt"),
        "/opt/libx.so": elf(needed=["liby.so"]),
        "/opt/liby.so": elf(),
    }
    assert set(program(tmp_path, files).files) == {"/opt/libx.so", "/opt/liby.so"}


def test_a_library_for_another_architecture_is_passed_over(tmp_path: Path) -> None:
    files = {
        "/usr/local/sbin/haproxy": haproxy(needed=["libx.so"]),
        "/lib/libx.so": elf(machine=AARCH64),
        "/usr/lib/libx.so": elf(),
    }
    assert set(program(tmp_path, files).files) == {"/usr/lib/libx.so"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "/usr/local/sbin/haproxy is missing"),
        (
            {"": b"#!/bin/sh\n"},
            "/usr/local/sbin/haproxy is not a program (an ELF file that is whole)",
        ),
        ({"": elf()}, "/usr/local/sbin/haproxy is not a HAProxy: it has no version of one"),
        (
            {"": haproxy(machine=AARCH64)},
            "/usr/local/sbin/haproxy is for another architecture: AArch64, not x86-64",
        ),
        (
            {"": haproxy(needed=["libx.so"])},
            "/usr/local/sbin/haproxy needs libx.so, which is missing",
        ),
        (
            {"": haproxy(needed=["libx.so"]), "/lib/libx.so": elf(needed=["/opt/liby.so"])},
            "/lib/libx.so needs /opt/liby.so, which is missing",
        ),
        ({"": haproxy(loader=LOADER)}, f"/usr/local/sbin/haproxy needs {LOADER}, which is missing"),
    ],
)
def test_a_lack_is_reported_in_one_sentence(
    tmp_path: Path, files: dict[str, bytes], sentence: str
) -> None:
    placed = {path or "/usr/local/sbin/haproxy": content for path, content in files.items()}
    with pytest.raises(MeasurementError) as caught:
        program(tmp_path, placed)
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value).splitlines()) == 1


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_no_broken_binary_is_answered_with_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    whole = haproxy(needed=["libx.so"], loader=LOADER, runpath="/opt")
    broken = whole[:at] + noise + whole[at + len(noise) :]
    folder = tmp_path_factory.mktemp("root")
    files = {"/usr/local/sbin/haproxy": broken, LOADER: elf(), "/opt/libx.so": elf()}
    with contextlib.suppress(MeasurementError):
        program(folder, files)


def test_content_distinguishes_programs(tmp_path: Path) -> None:
    files = {"/usr/local/sbin/haproxy": haproxy(needed=["libx.so"]), "/lib/libx.so": elf()}
    first = program(tmp_path, files)
    assert program(tmp_path, files).digest == first.digest
    for path, content in (
        ("/lib/libx.so", elf(data=b"new")),
        ("/usr/local/sbin/haproxy", haproxy("2.6.2", needed=["libx.so"])),
    ):
        assert program(tmp_path, {**files, path: content}).digest != first.digest


def test_the_version_is_the_one_of_the_statistics_page() -> None:
    content = b"\0HAProxy version %s\0 version 2.2.9-2+deb11u6, released 2023/12/23\0"
    assert version_of(content, "x") == "2.2.9-2+deb11u6"
