"""What the guest tells its host: whole lines, and that it lives."""

from __future__ import annotations

import io
import json
import time

import pytest

from provision.guest import events
from provision.guest.events import Events


def test_signs_of_life_come_between_events_and_never_into_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "PULSE_SECONDS", 0.001)
    file = io.StringIO()
    said = Events(file)
    numbers = list(range(5000))
    with said.pulse():
        deadline = time.monotonic() + 10
        while file.getvalue().count("alive") < 5 and time.monotonic() < deadline:
            said.report("end", evidence=numbers)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert sum(line == {"event": "alive"} for line in lines) >= 5
    assert all(line["evidence"] == numbers for line in lines if line["event"] == "end")
    count = len(lines)
    time.sleep(0.01)
    assert len(file.getvalue().splitlines()) == count
