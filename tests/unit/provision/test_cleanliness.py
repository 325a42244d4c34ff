"""The traces that a cell may not leave in its guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.guest import cleanliness

CLEAN = {
    "process": [], "interface": ["eth0", "lo"], "listener": ["0.0.0.0:22"],
    "mount": ["/dev/vda / ext4 ro 0 0"], "sysctl": ["net/ipv4/ip_forward = 0"], "full disk": [],
}  # fmt: skip


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return the state of a guest, as it can be changed."""
    state = {kind: list(items) for kind, items in CLEAN.items()}
    monkeypatch.setattr(cleanliness, "BASELINE", tmp_path / "run/baseline.json")
    monkeypatch.setattr(cleanliness, "read_state", lambda: state)
    return state


def test_unchanged_guest_is_clean(state: dict[str, list[str]]) -> None:
    cleanliness.save()
    assert cleanliness.traces() == []


@pytest.mark.parametrize(
    ("kind", "items", "traces"),
    [
        ("process", ["haproxy"], ["process left: haproxy"]),
        ("interface", ["lo"], ["interface gone: eth0"]),
        ("listener", ["0.0.0.0:22", "10.0.0.1:80"], ["listener left: 10.0.0.1:80"]),
        ("sysctl", ["net/ipv4/ip_forward = 1"],
         ["sysctl gone: net/ipv4/ip_forward = 0", "sysctl left: net/ipv4/ip_forward = 1"]),
        ("full disk", ["/run"], ["full disk left: /run"]),
    ],
)  # fmt: skip
def test_each_change_is_a_trace(
    kind: str, items: list[str], traces: list[str], state: dict[str, list[str]]
) -> None:
    cleanliness.save()
    state[kind] = items
    assert cleanliness.traces() == traces


def test_number_of_processes_counts(state: dict[str, list[str]]) -> None:
    state["process"] = ["haproxy"]
    cleanliness.save()
    state["process"] = ["haproxy", "haproxy"]
    assert cleanliness.traces() == ["process left: haproxy"]
