"""The progress of a run: lines of the log, or a live view at a terminal."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from hatester.report.live import View, shown
from hatester.util import log, progress
from hatester.util.progress import Progress
from tests.factories.cells import ID


def text_of(view: View, console: Console) -> str:
    with console.capture() as captured:
        console.print(view.render())
    return captured.get()


def looked_at(width: int = 100) -> tuple[View, Console]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    return View(console), console


def test_without_a_terminal_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as events:
        events.begin(2)
        events.doing("6.1", "booting 6.1.0-49")
        events.step("6.1", ID, "step 3: remove 192.168.42.43")
        events.measured("silent", f"{ID}: down refused, silent (9.1 s)", 1, 2)
        events.gone("6.1")
    assert capsys.readouterr() == (
        "",
        f"guest 6.1: booting 6.1.0-49\n[1/2] {ID}: down refused, silent (9.1 s)\n",
    )


def test_what_fails_since_the_run_was_asked_to_end_is_not_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.mute_progress()
    Progress().doing("6.1", "booting it")
    logging.getLogger("hatester").warning("a file is damaged")
    assert capsys.readouterr().err == "a file is damaged\n"


def test_the_view_shows_what_each_guest_does_and_what_is_left() -> None:
    view, console = looked_at()
    view.begin(50)
    view.doing("6.1", "waiting for its image")
    view.step("7.3", ID, "step 6: reload with")
    view.measured("ok", f"{ID}: ok (9.0 s)", 12, 50)
    view.measured("error", f"{ID}: error (1.0 s)", 13, 50)
    seen = text_of(view, console)
    assert "guest 6.1  waiting for its image" in seen
    assert f"guest 7.3  {ID}  step 6: reload with" in seen
    assert "13 of 50 cells" in seen
    assert "to go" in seen
    assert "1 ok  1 error" in seen
    assert isinstance(console.file, io.StringIO)
    assert f"[13/50] {ID}: error" in console.file.getvalue()


def test_a_guest_that_has_gone_is_not_shown() -> None:
    view, console = looked_at()
    view.doing("6.1", "booting")
    view.gone("6.1")
    assert "6.1" not in text_of(view, console)


def test_time_to_go_is_by_what_this_run_measured() -> None:
    view, console = looked_at()
    view.begin(100)
    assert "to go" not in text_of(view, console)
    # 90 were there already, from a run that was interrupted.
    view.measured("ok", f"{ID}: ok (0.0 s)", 91, 100)
    assert "0:00 to go" in text_of(view, console)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_is_shown_where_the_log_shows_no_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=is_terminal)
    monkeypatch.setattr(progress, "CONSOLE", terminal)
    with log.shown(is_quiet=True), shown() as events:
        events.doing("6.1", "boots")
        events.measured("ok", "a cell", 1, 2)
    assert (capsys.readouterr().err, drawn.getvalue()) == ("", "")
