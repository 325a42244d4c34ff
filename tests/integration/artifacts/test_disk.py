"""Root trees: what is in them, and what is kept out."""

from __future__ import annotations

import io
import math
import subprocess
import tarfile
from pathlib import Path

import pytest

from hatester.artifacts import disk
from hatester.artifacts.disk import Member
from hatester.util.errors import MeasurementError


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, io.BytesIO() if kind == tarfile.REGTYPE else None


def listed(image: Path, folder: str) -> set[str]:
    """Return the names in a folder of an ext4 disk, with the modes and sizes of files."""
    said = subprocess.run(
        ["debugfs", "-R", f"ls -p {folder}", image], check=True, capture_output=True, text=True
    ).stdout
    # /INODE/MODE/UID/GID/NAME/SIZE/
    fields = [line.split("/") for line in said.splitlines() if line]
    return {f"{each[5]} {each[2]} {each[3]}:{each[4]} {each[6]}".rstrip() for each in fields}


def test_tree_is_a_root(tmp_path: Path) -> None:
    members = [
        disk.tree_file("/usr/sbin/haproxy", b"binary"),
        disk.tree_file("/lib/libx.so", b"x"),
        disk.tree_file("/usr/lib/libx.so", b"which comes second"),
        disk.tree_link("/usr/lib/liby.so", "/lib/libx.so"),
    ]
    disk.make_tree(members, tmp_path)
    image = tmp_path / "tree.ext4"
    assert "haproxy 100755 0:0 6" in listed(image, "/usr/sbin")
    assert {"libx.so 100755 0:0 1", "liby.so 120644 0:0 12"} <= listed(image, "/usr/lib")
    top = {line.split()[0] for line in listed(image, "/")}
    assert {"lib", "lib64", "bin", "sbin", "usr", "dev", "proc", "sys", "run", "etc"} <= top
    assert [path.name for path in tmp_path.iterdir()] == ["tree.ext4"]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([], "it has no /usr/sbin/haproxy"),
        ([member("dev/sda", tarfile.BLKTYPE)], "'dev/sda' is neither a file nor a link"),
        ([member("run/x", tarfile.FIFOTYPE)], "'run/x' is neither a file nor a link"),
        ([member("../x")], "'../x' would be outside of the tree"),
        ([member("/etc/x")], "'/etc/x' would be outside of the tree"),
        ([member("usr/../../x")], "'usr/../../x' would be outside"),
        (
            [member("usr/lib/a", tarfile.SYMTYPE, "/etc"), member("usr/lib/a/b/passwd")],
            "'usr/lib/a/b/passwd' would be written through 'usr/lib/a'",
        ),
        (
            [member("usr/lib/a", tarfile.LNKTYPE, "../../etc/shadow")],
            "'usr/lib/a' is a link to '../../etc/shadow', which is not there",
        ),
    ],
)
def test_nothing_outside_is_written(tmp_path: Path, members: list[Member], sentence: str) -> None:
    with pytest.raises(MeasurementError, match=f"^{sentence}"):
        disk.make_tree(members, tmp_path)
    assert not (tmp_path / "tree.ext4").exists()


def test_member_name_is_normalized(tmp_path: Path) -> None:
    renamed = member("usr/lib/x")
    renamed[0].pax_headers = {"path": "../x", "GNU.sparse.name": "/etc/x"}
    renamed[0].mtime = math.inf
    disk.make_tree([disk.tree_file("/usr/sbin/haproxy", b"binary"), renamed], tmp_path)
    assert "x" in {line.split()[0] for line in listed(tmp_path / "tree.ext4", "/usr/lib")}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("./lib64/ld.so", "usr/lib64/ld.so"),
        ("/library/x", "library/x"),
        ("/usr/lib/x", "usr/lib/x"),
        ("../x", "../x"),
    ],
)
def test_names_are_those_of_a_merged_usr(path: str, name: str) -> None:
    assert disk.merged(path) == name
