"""The events of a guest: whole lines, and signs of life."""

from __future__ import annotations

import io
import json
import threading

import pytest

from provision.guest import events
from provision.guest.events import Events
from provision.guest.protocol import Tainted


class Heard(io.StringIO):
    """A file that says when a sign of life is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_alive = threading.Event()

    def write(self, text: str) -> int:
        if '"alive"' in text:
            self.is_alive.set()
        return super().write(text)


def test_signs_of_life_come_between_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "PULSE_SECONDS", 0.001)
    file = Heard()
    said = Events(file)
    texts, before = tuple(map(str, range(5000))), threading.active_count()
    with said.pulse():
        for _ in range(5):
            said.report(Tainted(texts))
            file.is_alive.clear()
            assert file.is_alive.wait(10)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert sum(line == {"event": "alive"} for line in lines) >= 5
    assert [line["traces"] for line in lines if line["event"] == "tainted"] == [[*texts]] * 5
    # Nothing is left that could say more.
    assert threading.active_count() == before
