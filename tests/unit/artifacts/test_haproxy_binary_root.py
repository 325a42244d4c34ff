"""Root folders: where paths lead in them, and that nothing leads out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.artifacts.haproxy_binary import Root
from hatester.util.errors import MeasurementError


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a root with a file, beside a secret."""
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "root"
    (folder / "usr/lib").mkdir(parents=True)
    (folder / "usr/lib/a.so").write_text("a")
    (folder / "lib").symlink_to("usr/lib")
    return Root(folder)


@pytest.mark.parametrize(
    ("link", "target", "path", "real"),
    [
        ("x", "usr/lib/a.so", "/x", "/usr/lib/a.so"),
        ("x", "/usr/lib/a.so", "/x", "/usr/lib/a.so"),
        ("x", "/lib", "/x/a.so", "/usr/lib/a.so"),
        ("usr/x", "../lib/a.so", "/usr/x", "/usr/lib/a.so"),
        ("usr/x", "../../../../lib/a.so", "/usr/x", "/usr/lib/a.so"),
        ("usr/x", "/../../usr/./lib//a.so", "usr/x", "/usr/lib/a.so"),
    ],
)
def test_links_are_followed_as_after_chroot(
    root: Root, link: str, target: str, path: str, real: str
) -> None:
    (root.folder / link).symlink_to(target)
    assert root.real(path) == real
    assert root.read(path) == b"a"


@pytest.mark.parametrize("target", ["../secret", "../../../secret", "/../secret"])
def test_nothing_leads_out(root: Root, target: str) -> None:
    (root.folder / "x").symlink_to(target)
    assert root.read("/x") == b""
    assert root.read("/../secret") == b""
    outside = root.folder.parent / "secret"
    (root.folder / "y").symlink_to(outside)
    assert root.read("/y") == b""


def test_what_is_no_name_of_a_file_has_no_content(root: Root) -> None:
    assert root.read("/usr/a\0b") == b""
    with pytest.raises(MeasurementError, match="cannot be read: File name too long"):
        root.read(f"/usr/{'x' * 300}")
    assert [*root.files("/usr/lib/**.so")] == ["/usr/lib/a.so"]
    assert [*root.files("/usr/lib/..")] == [*root.files("/none/*")] == []


def test_what_is_no_file_has_no_content(root: Root) -> None:
    assert root.read("/usr/lib") == b""
    assert root.read("/usr/lib/a.so/b") == b""
    (root.folder / "x").symlink_to("x")
    with pytest.raises(MeasurementError, match="/x is a link that leads nowhere"):
        root.read("/x")


def test_a_pattern_stays_in_the_root(root: Root) -> None:
    (root.folder / "etc").symlink_to("/lib")
    assert list(root.files("/etc/*.so")) == ["/etc/a.so"]
    (root.folder / "up").symlink_to("..")
    assert list(root.files("/up/s*")) == []
