"""Debian's snapshot archive, by a small server that speaks its interface."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts import cache, download
from hatester.artifacts.snapshot_archive import snapshot_kernel
from hatester.util.errors import MeasurementError
from tests.factories.http_server import Web, web
from tests.factories.kernels import kernel_deb, make_deb

RELEASE = "6.1.0-18-amd64"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)


def offer(site: Web, deb: Path, architecture: str = "amd64") -> None:
    """Have the snapshot archive know a package file."""
    name, version, _ = deb.name.split("_")
    content = deb.read_bytes()
    sha1 = hashlib.sha1(content).hexdigest()
    site.files[f"/file/{sha1}"] = content
    known = json.loads(site.files.get(f"/mr/binary/{name}/", b'{"result": []}'))["result"]
    known.append({"name": name, "binary_version": version, "source": "linux", "version": version})
    site.files[f"/mr/binary/{name}/"] = json.dumps({"binary": name, "result": known}).encode()
    answer = {
        "binary": name, "binary_version": version,
        "fileinfo": {sha1: [{"archive_name": "debian", "name": deb.name, "path": "/pool"}]},
        "result": [
            {"architecture": "arm64", "hash": "0" * 40},
            {"architecture": architecture, "hash": sha1},
        ],
    }  # fmt: skip
    site.files[f"/mr/binary/{name}/{version}/binfiles?fileinfo=1"] = json.dumps(answer).encode()


def found(site: Web, beginning: str | None = None) -> list[Path]:
    return snapshot_kernel(site.url, RELEASE, beginning)


def test_newest_package_is_fetched_once(site: Web, tmp_path: Path) -> None:
    debs = [kernel_deb(tmp_path, RELEASE, version) for version in ("6.1.76-9", "6.1.76-10")]
    for deb in debs:
        offer(site, deb)
    [file] = found(site)
    assert file.read_bytes() == debs[1].read_bytes()
    [older] = found(site, "6.1.76-9")
    assert older.read_bytes() == debs[0].read_bytes()
    site.files.clear()
    answers = list((cache.root() / "snapshot").iterdir())
    for each in (file, *answers):
        os.utime(each, (0, 0))
    assert found(site) == [file]
    # An answer that was used is dated anew; any other is not.
    assert file.stat().st_mtime > 0
    assert sorted(each.stat().st_mtime > 0 for each in answers) == [False, True]


def test_answer_damaged_since_is_fetched_again(
    site: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(site, kernel_deb(tmp_path, RELEASE))
    files = found(site)
    [kept] = (tmp_path / "cache/hatester/snapshot").iterdir()
    other = hashlib.sha1(b"another package").hexdigest()
    for damaged in (kept.read_text().replace(files[0].name, other), "", "[1]"):
        kept.write_text(damaged)
        assert found(site) == files
        assert f"{kept} is no" in capsys.readouterr().err


def test_kernel_of_several_packages(site: Web, tmp_path: Path) -> None:
    others = f"linux-base-{RELEASE} (= 7-1), kmod, linux-base, linux-modules-{RELEASE}"
    image = make_deb(tmp_path, f"linux-image-{RELEASE}", "7-1", {"usr/x": b"1"}, depends=others)
    modules = make_deb(
        tmp_path, f"linux-modules-{RELEASE}", "7-1", {"usr/x": b"2"}, f"linux-base-{RELEASE}"
    )
    base = make_deb(tmp_path, f"linux-base-{RELEASE}", "7-1", {"usr/x": b"3"})
    for deb in (image, modules, base):
        offer(site, deb, "all" if deb == base else "amd64")
    assert [file.read_bytes() for file in found(site)] == [
        each.read_bytes() for each in (image, base, modules)
    ]


def test_what_the_archive_lacks_is_reported(site: Web, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=rf"has no kernel {RELEASE}; it must be all of what"):
        found(site)
    offer(site, kernel_deb(tmp_path, RELEASE, "6.1.76-1"), architecture="i386")
    with pytest.raises(MeasurementError, match=rf"has {RELEASE} as 6\.1\.76-1, not 6\.1\.90$"):
        found(site, "6.1.90")
    with pytest.raises(MeasurementError, match=r"has no linux-image-.* 6\.1\.76-1 for amd64$"):
        found(site)


def test_file_with_another_digest_is_refused(site: Web, tmp_path: Path) -> None:
    offer(site, kernel_deb(tmp_path, RELEASE))
    for path in site.files:
        if path.startswith("/file/"):
            site.files[path] += b"x"
    with pytest.raises(MeasurementError, match="is another file than was wanted: its sha1 is"):
        found(site)


@pytest.mark.parametrize(
    "answer",
    ['{"result": 1}', "[]", "null", '{"result": [{}]}', '{"result": [{"binary_version": "../x"}]}'],
)
def test_an_answer_of_another_form_is_reported(site: Web, answer: str) -> None:
    site.files[f"/mr/binary/linux-image-{RELEASE}/"] = answer.encode()
    with pytest.raises(MeasurementError, match="has another form than the snapshot archive's"):
        found(site)


@pytest.mark.parametrize("hash_", ["../../etc/passwd", "", "g" * 40, "0" * 41])
def test_a_hash_that_is_none_leads_nowhere(site: Web, tmp_path: Path, hash_: str) -> None:
    deb = kernel_deb(tmp_path, RELEASE)
    offer(site, deb)
    for path, content in site.files.items():
        if "binfiles" in path:
            answer = json.loads(content)
            answer["result"][1]["hash"] = hash_
            site.files[path] = json.dumps(answer).encode()
    with pytest.raises(MeasurementError, match="has another form"):
        found(site)


@given(st.text(max_size=20))
def test_no_release_asks_for_anything_else(release: str) -> None:
    with web() as site:
        with pytest.raises(MeasurementError, match="has no kernel"):
            snapshot_kernel(site.url, release, None)
        [(path, _)] = site.asked
        assert path.startswith("/mr/binary/linux-image-")
        assert path.count("/") == 4
