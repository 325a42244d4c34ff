"""The needs of a run, and the messages where the host lacks one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hatester.guests import host_capabilities
from hatester.util.errors import UserError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_this_host_is_ready() -> None:
    assert [each for each in host_capabilities.findings() if not each.is_ok] == []
    host_capabilities.require()


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**30))
    with pytest.raises(UserError, match=r"space: 3\.0 GiB free in .*, 4\.0 GiB .*invoke clean"):
        host_capabilities.require()
    # A cache that has its system needs room for the guests only.
    (tmp_path / "hatester/systems/made").mkdir(parents=True)
    host_capabilities.require()


def test_missing_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    which: Callable[[str], str | None] = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "cpio" else which(name))
    with pytest.raises(UserError, match="cpio: is not installed; it makes kernel kits"):
        host_capabilities.require()


@pytest.mark.parametrize(("choice", "is_ok"), [("tcg", True), ("kvm", True), ("xen", False)])
def test_accelerator_is_the_users_choice(
    choice: str, is_ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HATESTER_ACCEL", choice)
    [found] = [each for each in host_capabilities.findings() if each.name == "KVM"]
    assert found.is_ok is is_ok
    assert ("the choices are" in found.text) is not is_ok


def test_host_description() -> None:
    described = host_capabilities.describe()
    assert described["qemu"].startswith("QEMU emulator version")
    assert described["vagrant"].startswith("Vagrant ")
    assert described["processors"] >= 1
