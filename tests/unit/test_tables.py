"""Tables, as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatester.tables import errors, short_names, tables

GOLDEN = Path(__file__).parent / "resources/tables.txt"
LABELS = ["192.168.42.44:80", "192.168.42.45:80", "*:81"]


def cell(kernel: str, build: str, setting: str, verdict: str, *outcomes: str) -> dict[str, Any]:
    return {
        "id": f"{kernel}/{build}/{setting}/lost-address/signal",
        "kernel": {"name": kernel},
        "haproxy": {"name": build},
        "setting": setting,
        "scenario": "lost-address",
        "method": "signal",
        "verdict": verdict,
        "error": "the mirror has no suite bullseye" if verdict == "error" else None,
        "checks": [
            {"expected": LABELS, "outcomes": dict(zip(LABELS, outcomes, strict=True))}
        ] if outcomes else [],
    }  # fmt: skip


CELLS = [
    cell("5.10", "2.2", "plain", "down", "reset", "ok", "ok"),
    cell("5.10", "3.0", "plain", "down", "refused", "refused", "timeout"),
    cell("6.1", "2.2", "plain", "error"),
    cell("6.1", "3.0", "plain", "down", "ok", "ok", "ok"),
    cell("5.10", "2.2", "nonlocal-bind", "ok", "ok", "ok", "ok"),
]


def test_tables_are_as_in_the_golden_file() -> None:
    assert f"{tables(CELLS)}\n\n{errors(CELLS)}\n" == GOLDEN.read_text()


def test_short_names_are_used_only_where_they_are_clear() -> None:
    assert short_names(LABELS) == {LABELS[0]: ".44", LABELS[1]: ".45", LABELS[2]: ":81"}
    ambiguous = ["10.0.0.1:80", "10.0.0.1:443"]
    assert short_names(ambiguous) == {label: label for label in ambiguous}
    assert short_names(["fd00:42::43:80"]) == {"fd00:42::43:80": ":43"}
