"""Local packages: what of them becomes a tree, and what is said of bad ones."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from hatester.artifacts.apt import Archive, Package
from hatester.artifacts.haproxy import local_packages
from hatester.util.errors import MeasurementError
from tests.factories.elf import elf, haproxy


class OwnArchive:
    """An archive that has these packages, on which all others depend."""

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self.files = list(files)

    def resolve_files(self, suite: str, files: Sequence[Path], *names: str) -> list[Package]:
        assert names == ("procps",)
        return [Package(file.name, suite, "0") for file in self.files]

    def download(self, suite: str, wanted: list[Package], folder: Path) -> list[Path]:
        assert [package.name for package in wanted] == [file.name for file in self.files]
        return self.files


def archive(*files: Path) -> Archive:
    return cast(Archive, OwnArchive(files))


def package(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """Make a Debian package with these files."""
    root = folder / f"{name}.d"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    (root / "DEBIAN/control").write_text(f"{control}Maintainer: n <n@n>\nDescription: n\n")
    file = folder / f"{name}_{version}_amd64.deb"
    pack(root, file)
    return file


def pack(root: Path, file: Path) -> None:
    subprocess.run(["dpkg-deb", "-Znone", "--build", root, file], check=True, capture_output=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_dependencies_bring_libraries_only(tmp_path: Path, scratch: Path) -> None:
    own = {
        "usr/sbin/haproxy": haproxy("3.1.2-own"), "lib/systemd/system/haproxy.service": b"[Unit]",
        "usr/share/doc/haproxy/changelog": b"", "usr/lib/debug/x": b"",
    }  # fmt: skip
    given = package(tmp_path, "haproxy", own, "9.9")
    library = package(
        tmp_path, "libx", {"usr/lib/x86_64-linux-gnu/libx.so.1": elf(), "usr/bin/x": b""}
    )
    tools = package(tmp_path, "procps", {"usr/bin/kill": b"", "usr/bin/top": b""})
    source = local_packages(archive(library, tools), [str(given)], None)
    content = source.content(scratch)
    assert content.version == "3.1.2-own"
    assert {member.name for member, _ in content.members} == {
        "usr/sbin/haproxy", "usr/lib/systemd/system/haproxy.service",
        "usr/lib/x86_64-linux-gnu/libx.so.1", "usr/bin/kill",
    }  # fmt: skip


def test_pattern_names_several_packages(tmp_path: Path) -> None:
    package(tmp_path, "haproxy", {"usr/sbin/haproxy": haproxy()})
    package(tmp_path, "libx", {"usr/lib/libx.so": elf()})
    first = local_packages(archive(), [f"{tmp_path}/*.deb"], "sid")
    assert first.title == "haproxy_1.0_amd64.deb, libx_1.0_amd64.deb"
    again = local_packages(archive(), [f"{tmp_path}/*.deb"], "sid")
    assert again.ingredients == first.ingredients
    (tmp_path / "libx.d/usr/lib/libx.so").write_bytes(b"new")
    pack(tmp_path / "libx.d", tmp_path / "libx_1.0_amd64.deb")
    changed = local_packages(archive(), [f"{tmp_path}/*.deb"], "sid")
    assert changed.ingredients != first.ingredients


def test_content_is_kept_in_memory(tmp_path: Path, scratch: Path) -> None:
    file = package(tmp_path, "haproxy", {"usr/sbin/haproxy": haproxy("2.8.1")})
    source = local_packages(archive(), [str(file)], None)
    file.unlink()
    assert source.content(scratch).version == "2.8.1"


def test_a_lack_is_reported(tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(MeasurementError, match=r"/none\*\.deb is missing$"):
        local_packages(archive(), [f"{tmp_path}/none*.deb"], None)
    with pytest.raises(MeasurementError, match=r"/a\*\*b\.deb is missing$"):
        local_packages(archive(), [f"{tmp_path}/a**b.deb"], None)
    with pytest.raises(MeasurementError, match=f"{tmp_path} cannot be read: Is a directory"):
        local_packages(archive(), [str(tmp_path)], None)
    other = package(tmp_path, "other", {"usr/bin/x": b""})
    source = local_packages(archive(), [str(other)], None)
    with pytest.raises(MeasurementError, match="none of the packages has a /usr/sbin/haproxy"):
        source.content(scratch)


@pytest.mark.parametrize("bytes_kept", [0, 60, 400])
def test_a_broken_package_is_named(tmp_path: Path, scratch: Path, bytes_kept: int) -> None:
    file = package(tmp_path, "haproxy", {"usr/sbin/haproxy": haproxy()})
    file.write_bytes(file.read_bytes()[:bytes_kept])
    source = local_packages(archive(), [str(file)], None)
    with pytest.raises(MeasurementError, match=r"haproxy_1\.0_amd64\.deb cannot be unpacked"):
        source.content(scratch)
