"""apt's lists and answers in the cache: what was fetched and asked, or fetched and asked again.

It is apt itself that fetches and answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hatester.artifacts import cache
from hatester.artifacts.mirrors import Mirrors
from hatester.util.errors import UserError
from tests.factories.apt_mirror import Unsigned, offer
from tests.factories.http_server import Web

PACKAGES = {"haproxy": "3.0-1", "libssl": "3.5-1", "tail": "1-1"}


@pytest.fixture
def site(site: Web) -> Web:
    offer(site, "sid", PACKAGES)
    return site


@pytest.fixture
def root(site: Web) -> Path:
    """Where the lists of suite sid are, which were fetched."""
    assert version(site, "haproxy") == "3.0-1"
    [root] = (cache.root() / "apt").iterdir()
    return root


def version(site: Web, package: str, suite: str = "sid") -> str:
    """Return the answer about a package in a new process."""
    archive = Unsigned(Mirrors(site.url, site.url))
    [found] = archive.resolve(suite, package)
    assert found.name == package
    return found.version


def is_fetched(site: Web) -> bool:
    """Return True if lists were fetched since the last call."""
    asked = [path for path, _ in site.asked if path.endswith("Packages")]
    site.asked.clear()
    return bool(asked)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:150])


def garbage(file: Path) -> None:
    file.write_bytes(b"\xff" * 300)


def another_version(file: Path) -> None:
    file.write_text(file.read_text().replace("3.0-1", "9.9-9"))


@pytest.mark.parametrize("damage", [cut_off, garbage, another_version, Path.unlink])
def test_damaged_lists_are_fetched_again(
    site: Web, root: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_fetched(site)
    [packages] = root.glob("lists/*_Packages")
    damage(packages)
    # Earlier answers are known without them.
    assert (version(site, "haproxy"), is_fetched(site)) == ("3.0-1", False)
    assert (version(site, "libssl"), is_fetched(site)) == ("3.5-1", True)
    said = capsys.readouterr().err
    assert f"{root}/lists is not what was fetched: {packages.name} " in said
    assert "; what it has of sid is thrown away, and fetched again" in said
    assert (version(site, "tail"), is_fetched(site)) == ("1-1", False)
    assert not capsys.readouterr().err


def nothing(lists: Path) -> None:
    shutil.rmtree(lists)


def file_instead(lists: Path) -> None:
    shutil.rmtree(lists)
    lists.touch()


@pytest.mark.parametrize("damage", [nothing, file_instead])
def test_missing_lists_are_fetched_again(
    site: Web, root: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(root / "lists")
    assert version(site, "libssl") == "3.5-1"
    assert f"{root}/lists is not what was fetched: " in capsys.readouterr().err


def test_damaged_lists_are_fetched_whole(
    site: Web, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # apt fetches no list again that it has, when the mirror has nothing newer.
    [packages] = root.glob("lists/*_Packages")
    cut_off(packages)
    archive = Unsigned(Mirrors(site.url, site.url))
    archive.refresh("sid")
    assert "is not what was fetched" in capsys.readouterr().err
    assert [each.version for each in archive.resolve("sid", "tail")] == ["1-1"]


def test_lists_refreshed_by_another_suite(
    site: Web, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(site, "sid", {**PACKAGES, "libssl": "3.5-2"}, date="08 Nov 2025")
    offer(site, "experimental", {"haproxy": "3.1-1"})
    assert version(site, "haproxy", "experimental") == "3.1-1"
    assert (version(site, "libssl"), version(site, "haproxy")) == ("3.5-2", "3.0-1")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "damaged", ["", "[]", '[{"name": "haproxy", "version": "9", "sha256": "0"}]']
)
def test_damaged_answer_is_fetched_again(
    site: Web, root: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    is_fetched(site)
    [answer] = [file for file in root.glob("sid.*.json") if file.name != "sid.lists.json"]
    answer.write_text(damaged)
    assert (version(site, "haproxy"), is_fetched(site)) == ("3.0-1", False)
    assert f"{answer} is not " in capsys.readouterr().err


def test_foreign_apt_state_is_ignored(
    site: Web, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without its configuration, it would take the host's.
    (root / "sid.conf").unlink()
    (root / "sid.list").write_text("deb nowhere\n")
    (root / "status").unlink()
    (root / "status").mkdir()
    shutil.rmtree(root / "archives")
    (root / "archives").touch()
    assert version(site, "libssl") == "3.5-1"
    said = capsys.readouterr().err
    assert f"{root}/status is a folder, where a file should be; quarantined" in said
    assert f"{root}/archives is damaged: it is not a folder; quarantined" in said


def test_damaged_lists_are_not_used(site: Web, root: Path) -> None:
    [packages] = root.glob("lists/*_Packages")
    cut_off(packages)
    there = dict(site.files)
    site.files.clear()
    for _ in range(2):
        with pytest.raises(UserError, match=r"lists of Debian's suite sid cannot be fetched: "):
            version(site, "libssl")
    site.files.update(there)
    assert version(site, "libssl") == "3.5-1"
