"""Archives from anywhere: nothing of them is written or read outside of where they are unpacked."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts import deb, disk
from hatester.artifacts.apt import Archive
from hatester.artifacts.deb import unpack
from hatester.artifacts.haproxy import local_packages
from hatester.artifacts.haproxy_binary import Root
from hatester.util.errors import MeasurementError
from tests.factories.elf import haproxy
from tests.factories.hostile import examples
from tests.integration.artifacts.test_haproxy_packages import OwnArchive

Member = tuple[tarfile.TarInfo, bytes]
NAMES = (
    "boot/vmlinuz-6", "./boot/vmlinuz-6", "lib/modules/6/x.ko", "usr/lib/modules/6/x.ko",
    "lib/modules/6/x.ko/y", "bin/busybox", "usr/sbin/haproxy", "usr/lib/libx.so", "etc/passwd",
    "../outside/x", "/outside/x", "boot/../../outside/x", "lib/modules/6/../../../../outside/x",
    "lib/modules/../../../outside/x", "lib/modules/..", "usr/../../outside/x", "usr/./lib/../../x",
    "boot", "lib", "lib/modules", "lib/modules/6", "usr", "usr/lib", "bin", ".", "..", "", "/",
    "package.tar", "link/x", "boot/link/x", "lib/modules/link/x", "lib/modules/6/link/x",
    "dev/null",
    "lib/modules/6/a\nb", "lib/modules/6/" + "x" * 300, "lib/modules/6/" + "d/" * 60 + "x",
)  # fmt: skip
LINKS = (*NAMES, "/outside", "../outside", "../../outside", "OUTSIDE", "OUTSIDE/secret")
KINDS = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE,
    tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.AREGTYPE, b"Z",
)  # fmt: skip


def member(name: str, kind: bytes, link: str, headers: dict[str, str]) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.pax_headers = kind, link, 0o4755, headers
    content = b"content" if info.isreg() else b""
    info.size = len(content)
    return info, content


headers = st.dictionaries(
    st.sampled_from(["path", "linkpath", "size", "GNU.sparse.name", "GNU.sparse.map", "mtime"]),
    st.sampled_from([*NAMES[:16], "1", "-1", "x", "9" * 5000, "1,2,3", "a\0b"]),
    max_size=2,
)
members = st.lists(
    st.builds(member, st.sampled_from(NAMES), st.sampled_from(KINDS), st.sampled_from(LINKS),
              st.just({}) | headers),
    min_size=1, max_size=6,
)  # fmt: skip


def tar_of(content: Sequence[Member], outside: Path) -> bytes:
    """Return an archive of these members; OUTSIDE stands for a folder that is not its own."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for info, data in content:
            info.linkname = info.linkname.replace("OUTSIDE", str(outside))
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def deb_of(file: Path, tar: bytes) -> Path:
    """Make a package whose files are in an archive that dpkg-deb did not make (deb(5))."""
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w") as packed:
        text = b"Package: x\nVersion: 1\nArchitecture: amd64\n"
        info = tarfile.TarInfo("./control")
        info.size = len(text)
        packed.addfile(info, io.BytesIO(text))
    parts = {"debian-binary": b"2.0\n", "control.tar": control.getvalue(), "data.tar": tar}
    with file.open("wb") as ar:
        ar.write(b"!<arch>\n")
        for name, part in parts.items():
            ar.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode())
            ar.write(part + b"\n" * (len(part) % 2))
    return file


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[Path]:
    """Make a folder with a secret, and check in the end that nothing was written there."""
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    before = {path.name for path in folder.iterdir()}
    yield outside
    assert {path.name for path in outside.iterdir()} == {"secret"}
    assert (outside / "secret").read_text() == "secret"
    assert (outside / "secret").lstat().st_nlink == 1
    assert {path.name for path in folder.iterdir()} - before <= {"tree", "x.deb", "scratch"}


changes = st.lists(st.tuples(st.integers(0, 6000), st.binary(max_size=3)), max_size=2)
lengths = st.none() | st.integers(0, 12_000)


def bent(tar: bytes, changes: Sequence[tuple[int, bytes]], length: int | None) -> bytes:
    """Return an archive with other bytes here and there, which breaks off."""
    for at, new in changes:
        tar = tar[:at] + new + tar[at + len(new) :]
    return tar[:length]


@examples(0.3)
@given(members, changes, lengths)
def test_kernel_package_writes_only_its_folder(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[Member],
    changes: list[tuple[int, bytes]],
    length: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("deb")
    with untouched(folder) as outside:
        file = deb_of(folder / "x.deb", bent(tar_of(members, outside), changes, length))
        with contextlib.suppress(MeasurementError):
            unpack(file, folder / "tree")
    for path in (folder / "tree").rglob("*"):
        assert not path.is_symlink()
        assert path.is_file() or path.is_dir()
        assert path.relative_to(folder / "tree").parts[0] in ("boot", "lib", "bin")


def extracted(archive: Path, image: Path, *_: object) -> None:
    """Unpack what becomes a disk as ordinary files."""
    (image.parent / "tree").mkdir()
    place = ["--directory", str(image.parent / "tree")]
    done = subprocess.run(
        ["tar", "--extract", "--no-same-owner", "--file", str(archive), *place],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        raise OSError(done.stderr)


@examples(0.3)
@given(members, st.integers(0, 6), changes, lengths)
def test_build_package_writes_only_its_tree(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[Member],
    place: int,
    changes: list[tuple[int, bytes]],
    length: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("deb")
    own = member("usr/sbin/haproxy", tarfile.REGTYPE, "", {})[0]
    own.size = len(binary := haproxy("3.0.1"))
    content = [*members[:place], (own, binary), *members[place:]]
    with (
        untouched(folder) as outside,
        pytest.MonkeyPatch.context() as patched,
        contextlib.suppress(MeasurementError, OSError),
    ):
        patched.setattr("hatester.artifacts.disk.make_ext4_from_tar", extracted)
        file = deb_of(folder / "x.deb", bent(tar_of(content, outside), changes, length))
        (folder / "scratch").mkdir()
        source = local_packages(cast(Archive, OwnArchive()), [str(file)], None)
        disk.make_tree(source.content(folder / "scratch").members, folder / "scratch")
    for path in (folder / "scratch/tree").rglob("*"):
        assert path.is_symlink() or path.is_file() or path.is_dir()


steps = st.sampled_from(
    ["a", "b", "c", "..", ".", "", "*", "**", "a**b", "[", "x" * 300, "a\0b", "é"]
)
paths = st.lists(steps, max_size=5).map("/".join)
links = st.dictionaries(
    st.sampled_from(["b", "c", "a/a", "a/b", "a/c"]),
    paths | paths.map("/".__add__) | st.just("OUTSIDE") | st.just("OUTSIDE/secret"),
    max_size=5,
)


@examples(0.5)
@given(links, paths)
def test_image_stays_inside_its_root(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], path: str
) -> None:
    folder = tmp_path_factory.mktemp("image")
    with untouched(folder) as outside:
        root = folder / "tree"
        (root / "a").mkdir(parents=True)
        for name, target in links.items():
            with contextlib.suppress(OSError, ValueError):
                (root / name).symlink_to(target.replace("OUTSIDE", str(outside)))
        for place in (path, f"{outside}/secret", f"../outside/secret/{path}", f"{path}/secret"):
            with contextlib.suppress(MeasurementError):
                assert Root(root).read(place) != b"secret"
                assert ".." not in Root(root).real(place).split("/")
            with contextlib.suppress(MeasurementError):
                assert all(Root(root).read(each) != b"secret" for each in Root(root).files(place))


def test_package_that_grows_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deb, "UNPACKED_BYTES", 1 << 16)
    info = tarfile.TarInfo("boot/vmlinuz-6")
    info.size = 1 << 20
    file = deb_of(tmp_path / "x.deb", tar_of([(info, b"\0" * info.size)], tmp_path))
    with pytest.raises(MeasurementError, match="cannot be unpacked"):
        unpack(file, tmp_path / "tree")
    assert [*(tmp_path / "tree").iterdir()] == []


@pytest.mark.parametrize(
    "name",
    [
        "lib/modules/6/" + "x" * 300,
        "lib/modules/" + "x" * 300 + "/y",
        "lib/modules/6/" + "d/" * 2100,
    ],
)
def test_names_that_are_too_long_cost_cells(tmp_path: Path, name: str) -> None:
    content = [member(name, tarfile.REGTYPE, "", {})]
    content[0][0].name = name.rstrip("/")
    file = deb_of(tmp_path / "x.deb", tar_of(content, tmp_path))
    with pytest.raises(MeasurementError, match="cannot be unpacked: File name too long"):
        unpack(file, tmp_path / "tree")


def test_package_of_too_many_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deb, "UNPACKED_MEMBERS", 3)
    many = [member(f"usr/lib/lib{n}.so", tarfile.REGTYPE, "", {}) for n in range(4)]
    file = deb_of(tmp_path / "x.deb", tar_of(many, tmp_path))
    with pytest.raises(MeasurementError, match="too large"):
        unpack(file, tmp_path / "tree")
    with pytest.raises(MeasurementError, match="too large"):
        list(deb.installed_members(file))


@pytest.mark.parametrize("name", ["usr/lib/" + "x" * 256, "usr/lib/a\0b", "x" * 256 + "/y"])
def test_tree_has_no_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(MeasurementError, match="is not a name that a file can have"):
        disk.make_tree([disk.tree_file(name, b"x")], tmp_path)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_of_a_kernel_package_are_left_out(tmp_path: Path, kind: bytes) -> None:
    content = [
        member("lib/modules/6/device", kind, "", {}),
        member("lib/modules/6/x.ko", tarfile.REGTYPE, "", {}),
    ]
    unpack(deb_of(tmp_path / "x.deb", tar_of(content, tmp_path)), tmp_path / "tree")
    assert [path.name for path in (tmp_path / "tree/lib/modules/6").iterdir()] == ["x.ko"]
