"""Builds: made once of what they come from, and again when that changes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from hatester.artifacts.apt import Archive
from hatester.artifacts.haproxy import RECIPE, build_version, make_build
from hatester.matrix.declarations import Build
from hatester.util.errors import MeasurementError
from tests.factories.elf import elf, haproxy

NO_ARCHIVE = cast(Archive, None)
"""A binary of this host needs none."""


def test_rebuilt_binary_makes_a_new_tree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    binary = tmp_path / "haproxy"
    binary.write_bytes(haproxy("3.3-dev1"))
    build = Build(path=str(binary))
    first = make_build(NO_ARCHIVE, build)
    assert (first.version, first.disk.exists()) == ("3.3-dev1", True)
    binary.write_bytes(binary.read_bytes())
    assert make_build(NO_ARCHIVE, build) == first
    assert caplog.messages == [f"making the build of {binary}"]
    binary.write_bytes(haproxy("3.3-dev2"))
    second = make_build(NO_ARCHIVE, build)
    assert (second.version, second.serial != first.serial) == ("3.3-dev2", True)
    assert build_version(NO_ARCHIVE, build) == "3.3-dev2"
    assert len(caplog.messages) == 2
    assert not list(second.folder.glob("scratch"))


def test_another_recipe_makes_a_new_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "haproxy").write_bytes(haproxy("2.8.3"))
    build = Build(path=str(tmp_path / "haproxy"))
    first = make_build(NO_ARCHIVE, build)
    monkeypatch.setattr("hatester.artifacts.haproxy.RECIPE", RECIPE + 1)
    assert make_build(NO_ARCHIVE, build).serial != first.serial


def test_library_path_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "haproxy"
    binary.write_bytes(haproxy(needed=["libown-of-the-test.so"]))
    build = Build(path=str(binary))
    with pytest.raises(MeasurementError, match=r"needs libown-of-the-test\.so, which is missing$"):
        make_build(NO_ARCHIVE, build)
    (tmp_path / "libown-of-the-test.so").write_bytes(elf())
    monkeypatch.setenv("LD_LIBRARY_PATH", f":relative:{tmp_path}")
    assert make_build(NO_ARCHIVE, build).version == "2.6.1"


def test_undeclared_version_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "haproxy"
    binary.write_bytes(haproxy("2.8.3"))
    for version in ("2.8", "2.8.3"):
        made = make_build(NO_ARCHIVE, Build(path=str(binary), version=version))
        assert made.version == "2.8.3"
    with pytest.raises(MeasurementError, match=r"haproxy is HAProxy 2\.8\.3, not 2\.9$"):
        make_build(NO_ARCHIVE, Build(path=str(binary), version="2.9"))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none", f"{tmp_path}/none is missing"),
        (tmp_path, f"{tmp_path} is missing"),
    ):
        with pytest.raises(MeasurementError, match=f"^{sentence}$"):
            make_build(NO_ARCHIVE, Build(path=str(path)))
