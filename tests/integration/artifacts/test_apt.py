"""Debian's archive: suites, versions, and what is said without a network or a suite."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatester.artifacts.apt import Archive, Package, base_suite, required_version
from hatester.artifacts.mirrors import Mirrors, find_mirrors
from hatester.util.errors import MeasurementError, UserError
from hatester.util.versions import matches
from tests.factories.servers import closed_port


@pytest.mark.parametrize(
    ("suite", "base"),
    [
        ("bookworm", None), ("sid", None), ("experimental", "sid"),
        ("trixie-backports", "trixie"), ("bookworm-security", "bookworm"),
    ],
)  # fmt: skip
def test_incomplete_suite_has_a_base(suite: str, base: str | None) -> None:
    assert base_suite(suite) == base


@pytest.mark.parametrize(
    ("version", "beginning", "is_match"),
    [
        ("6.1.176-1", "6.1", True),
        ("6.12.107-1", "6.1", False),
        ("6.12.107-1", "6.12", True),
        ("1:3.2.26-1", "3.2", True),
        ("7.3~rc7-1~exp1", "7.3", True),
        ("7.4.1-1", "7.3", False),
        ("7.4.1-1", None, True),
    ],
)
def test_version_prefix_ends_at_a_boundary(
    version: str, beginning: str | None, is_match: bool
) -> None:
    assert matches(version, beginning) is is_match


def test_moved_suite_has_a_new_name() -> None:
    packages = [Package("haproxy", "3.4.7-1", "0")]
    with pytest.raises(MeasurementError, match=r"suite sid has haproxy 3\.4\.7-1, not 3\.2"):
        required_version("sid", packages, "haproxy", "3.2")


@pytest.fixture
def empty_mirror(tmp_path: Path) -> Iterator[str]:
    """Serve a mirror that has only what a test lays into `mirror`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_missing_suite_costs_its_cells(empty_mirror: str) -> None:
    archive = Archive(Mirrors(empty_mirror, empty_mirror))
    with pytest.raises(MeasurementError, match="has no suite bullseye"):
        archive.resolve("bullseye", "haproxy")
    with pytest.raises(MeasurementError, match="has no suite sid"):
        archive.resolve_files("sid", [Path("/haproxy.deb")], "procps")


def test_unsigned_suite_is_refused(empty_mirror: str, tmp_path: Path) -> None:
    lists = tmp_path / "mirror/dists/sid"
    (lists / "main/binary-amd64").mkdir(parents=True)
    entry = "Package: haproxy\nVersion: 9\nArchitecture: amd64\nFilename: x.deb\nSize: 1\n"
    (lists / "main/binary-amd64/Packages").write_text(entry)
    digest = hashlib.sha256(entry.encode()).hexdigest()
    (lists / "Release").write_text(
        "Origin: Debian\nSuite: unstable\nCodename: sid\nArchitectures: amd64\nComponents: main\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
        f" {digest} {len(entry)} main/binary-amd64/Packages\n"
    )
    with pytest.raises(UserError, match=r"suite sid cannot be fetched: .* is not signed"):
        Archive(Mirrors(empty_mirror, empty_mirror)).resolve("sid", "haproxy")


def test_unreachable_mirror_is_a_user_error() -> None:
    mirror = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(UserError, match=r"suite sid cannot be fetched: .*Connection refused"):
        Archive(Mirrors(mirror, mirror)).resolve("sid", "haproxy")


def test_snapshot_archive_is_configurable() -> None:
    assert find_mirrors("http://a/", "http://b/").snapshot is None
    assert find_mirrors("http://a/", "http://b/", "http://c/") == Mirrors(
        "http://a", "http://b", "http://c"
    )


def test_sources_name_base_and_security() -> None:
    archive = Archive(Mirrors("http://main", "http://security"))
    uris = [line.split()[2:4] for line in archive.sources("bookworm-security").splitlines()]
    assert uris == [["http://main", "bookworm"], ["http://security", "bookworm-security"]]
