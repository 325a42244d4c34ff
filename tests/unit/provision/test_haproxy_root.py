"""The content of HAProxy's root for one cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.guest.haproxy_root import RESOLVER, furnish, place_of
from provision.guest.mock_replies import address_of
from provision.guest.plan import RootContent


def content(**further: Any) -> RootContent:
    nothing: dict[str, Any] = {
        "files": {}, "made": {}, "folders": [], "users": [], "groups": [], "hosts": [], "env": {},
    }  # fmt: skip
    return RootContent(**{**nothing, **further})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make the tree of a build, beside a secret."""
    (tmp_path / "secret").write_text("horse")
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "tmp").mkdir()
    (tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nhaproxy:x:100:100::/:/bin/sh\n")
    return tree


def test_files_are_written_with_their_folders(tree: Path) -> None:
    furnish(tree, content(files={"/etc/haproxy/errors/503.http": "sorry"}))
    assert (tree / "etc/haproxy/errors/503.http").read_text() == "sorry"


def test_made_files_give_way_to_the_builds_own(tree: Path) -> None:
    (tree / "etc/mime.types").write_text("own")
    made = furnish(tree, content(made={"/etc/mime.types": "made", "/etc/other": "made"}))
    assert made == ["/etc/other"]
    assert (tree / "etc/mime.types").read_text() == "own"
    assert (tree / "etc/other").read_text() == "made"


def test_missing_accounts_are_added(tree: Path) -> None:
    furnish(tree, content(users=["haproxy", "app"], groups=["app"]))
    users = [line.split(":")[:3] for line in (tree / "etc/passwd").read_text().splitlines()]
    assert users == [["root", "x", "0"], ["haproxy", "x", "100"], ["app", "x", "900"]]
    assert (tree / "etc/group").read_text() == "app:x:900:\n"


def test_hosts_are_found_in_a_file(tree: Path) -> None:
    furnish(tree, content(hosts=["app.example", "localhost"]))
    *local, named = (tree / "etc/hosts").read_text().splitlines()
    assert local == ["127.0.0.1 localhost", "::1 localhost"]
    assert named == f"{address_of('app.example')} app.example"
    assert RESOLVER in (tree / "etc/resolv.conf").read_text()


def test_folders_of_a_debian_system_are_there(tree: Path) -> None:
    furnish(tree, content(folders=["/srv/maps"]))
    assert (tree / "srv/maps").is_dir()
    assert (tree / "var/run").readlink() == Path("/run")
    assert (tree / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_absolute_links_stay_in_the_root(tree: Path) -> None:
    (tree / "etc/link").symlink_to("/secret")
    assert place_of(tree, "/etc/link") == tree / "secret"
    furnish(tree, content(files={"/etc/link": "written"}))
    assert (tree / "secret").read_text() == "written"
    assert (tree.parent / "secret").read_text() == "horse"
