"""Drawings: a cell's timeline as a picture, one lane for each address.

They are SVG without a style of their own: the class of a thing says what it is, and its title
describes it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from hatester.analysis.model import CellResult
from hatester.analysis.outcomes import worst_reload
from hatester.analysis.reload_model import ListenerCause, ReloadResult
from hatester.analysis.timeline import LOADS, Phase, Timeline
from hatester.report import lanes
from hatester.util.text import counted, for_xml, listed
from provision.guest.message_bounds import OUTCOMES
from provision.guest.protocol import Reload

OWNERS = ("new worker", "old worker", "master", "stranger", None)
_LEGENDS = {
    "HAProxy": ["alert"],
    "connections": [f"run {name}" for name in (*OUTCOMES, "idle")],
    "sessions": [f"session {end}" for end in ("alive", "closed", "reset", "silent", "unopened")],
    "listener held by": [
        *(f"owner {who}" for who in ("new", "old", "master", "stranger", "nobody")),
        "cause",
    ],
}
"""The rows of the legend, with the classes that they explain."""

_WIDTH, _LEFT, _RIGHT = 1120.0, 136.0, 16.0
_ROW = 18.0
_SPEECH = 44.0
_LANE, _BAR, _BAND = 46.0, 20.0, 7.0
_CLIENT_BAR, _INDENT = 10.0, 14.0
_SESSION, _SESSIONS = 5.0, 60.0
"""The height of a session, and at most of all of an address."""
_NARROWEST = 3.0
"""The least width of a streak, so that one lost connection is seen."""
_CHARACTER = 6.6
"""The approximate width of a letter."""
_LONGEST_NAME = 18
_MOST_TICKS = 12
_SIGNS = {
    "success": "l2 3l4-5",
    "failure": "l6 0",
    "untrue": "m0-3l6 6m0-6l-6 6",
    "nothing": "m3 0l0 0",
}
"""Paths in the circle at the end of a reload, from its left on."""
_ALERT = "l-4-7h8z"


class Drawing:
    """A drawing: steps, HAProxy's reports, lanes, seconds and a legend, one below the other.

    Each is drawn below `y`, the height so far, and adds to it. A narrow window shows the drawing
    from `beginning` on, an x; it is None without a reload.
    """

    def __init__(self, timeline: Timeline, cell: CellResult) -> None:
        self.timeline = timeline
        self.entries = cell.reloads
        self.causes = [each for each in cell.causes if isinstance(each, ListenerCause)]
        self.start, self.end = _bounds(timeline)
        # A screen reader takes it as one image.
        self.svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
        _add(self.svg, "title", f"Timeline of {cell.id}")
        _add(self.svg, "desc", cell.explanation)
        self.lines = _add(self.svg, "g")
        self.y = 0.0
        self.beginning = self._find_beginning()
        self.legend: dict[str, str] = {}
        """The words of the legend, by class."""

    def draw(self) -> str:
        """Return the timeline as SVG."""
        self._draw_steps()
        if self.timeline.reloads:
            self._draw_speech()
        for label in self.timeline.addresses:
            self._draw_lane(label)
            self._draw_clients(label, lanes.idle_times(self.timeline, self.entries, label))
        for label in self.timeline.clients.addresses:
            if label not in self.timeline.addresses:
                self._draw_name(label, self.y + _BAR / 2 + 4)
                self.y += _BAR
                self._draw_clients(label, [])
        self._draw_seconds()
        self._draw_legend()
        self.svg.set("viewBox", f"0 0 {_WIDTH:g} {self.y:g}")
        self.svg.set("width", f"{_WIDTH:g}")
        self.svg.set("height", f"{self.y:g}")
        return tostring(self.svg, encoding="unicode")

    def _x(self, at: float) -> float:
        share = (at - self.start) / (self.end - self.start)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def _find_beginning(self) -> float | None:
        """Return the x of the worst reload; of the first where none has a result."""
        step = worst_reload(self.entries).step if self.entries else None
        reloads = self.timeline.reloads
        found = [each for each in reloads if each.step == step] or list(reloads)
        return self._x(found[0].at) if found else None

    def _draw_steps(self) -> None:
        """Draw each step's number and words, in as many rows as they need, beside a line."""
        rows: list[float] = []
        closest = 4 * _CHARACTER * (self.end - self.start) / (_WIDTH - _LEFT - _RIGHT)
        for mark in lanes.marks(self.timeline.steps, closest):
            x = self._x(mark.start)
            number = str(mark.first) if mark.first == mark.last else f"{mark.first}–{mark.last}"
            width = _CHARACTER * (len(number) + len(mark.text) + 3)
            left = min(x, _WIDTH - width)
            row = next((row for row, end in enumerate(rows) if end <= left), len(rows))
            rows[row : row + 1] = [left + width]
            words = f"step {number}: {mark.text}, {self._describe_time(mark.start, mark.end)}"
            kind = f"step {'load' if mark.verb in LOADS else 'change'}"
            line = _add(self.lines, "line", x1=x, x2=x, y1=row * _ROW + 3, kind=kind)
            _add(line, "title", words)
            label = _add(self.svg, "text", x=left + 5, y=(row + 1) * _ROW - 5, kind=kind)
            _add(label, "title", words)
            _add(label, "tspan", number, kind="number")
            _add(label, "tspan", mark.verb, dx=5)
            _add(label, "tspan", mark.what, dx=4, kind="what")
        self.y = len(rows) * _ROW + 4

    def _draw_speech(self) -> None:
        """Draw a line from each reload to HAProxy's report of it, and the alerts in its log."""
        y = self.y + _SPEECH / 2
        self._draw_name("HAProxy", y + 4)
        entries = {each.step: each for each in self.entries}
        reloads = self.timeline.reloads
        nexts = [*(self._x(reload.at) for reload in reloads[1:]), _WIDTH]
        for reload, following in zip(reloads, nexts, strict=True):
            said, words = _describe_report(reload, entries.get(reload.step))
            end = self._x(reload.until if reload.reported_at is None else reload.reported_at)
            group = _add(self.svg, "g", kind=f"said {said}")
            _add(group, "title", f"the reload of step {reload.step}: {words}")
            _add(group, "line", x1=self._x(reload.at), x2=end, y1=y, y2=y)
            _add(group, "circle", cx=end, cy=y, r=6)
            _add(group, "path", d=f"M{end - 3:.1f} {y:.1f}{_SIGNS[said]}")
            if end + len(words) * _CHARACTER + 16 <= following:
                _add(group, "text", words, x=end + 11, y=y + 4)
        for at, line in self.timeline.log:
            if "[ALERT]" in line:
                path = f"M{self._x(at):.1f} {y - 4:.1f}{_ALERT}"
                alert = _add(self.svg, "path", d=path, kind="alert")
                _add(alert, "title", f"{line}, {self._describe_time(at, at)}")
                self.legend["alert"] = "alert in its log"
        self.y += _SPEECH

    def _draw_lane(self, label: str) -> None:
        """Draw an address's connections, and below them who held its listener."""
        self._draw_name(label, self.y + _BAR / 2 + 4)
        if self.beginning is not None:
            # In a narrow window, the names at the left are out of sight.
            below = self.y + _BAR + _BAND + 14
            self._draw_name(label, below, x=self.beginning + 5, kind="again")
        idle = lanes.idle_times(self.timeline, self.entries, label)
        probes = self.timeline.by_address.get(label, ())
        found = lanes.streaks(probes, self.timeline.interval, idle)
        for run in sorted(found, key=lambda run: run.outcome != "ok"):
            self._draw_run(label, run)
        for phase in lanes.owners(self.timeline, label):
            self._draw_owners(label, phase)
        for cause in self.causes:
            if label in cause.addresses:
                self._draw_cause(cause)
        self.y += _LANE

    def _draw_run(
        self, label: str, run: lanes.Streak, noun: str = "connection", bar: float = _BAR
    ) -> None:
        height = bar / 2 if run.outcome == "ok" else bar
        left, right = self._x(run.start), self._x(run.end)
        group = _add(self.svg, "g", kind=f"run {run.outcome}{'' if run.is_expected else ' idle'}")
        expectation = "" if run.is_expected else "; it was not expected to answer"
        count = counted(run.count, noun)
        when = self._describe_time(run.start, run.end)
        _add(group, "title", f"{label}: {count} {run.outcome}, {when}{expectation}")
        y = self.y + (bar - height) / 2
        _box(group, left, max(right, left + _NARROWEST), y, height)
        has_room = bar == _BAR and right - left > (len(run.outcome) + 2) * _CHARACTER
        if run.outcome != "ok" and has_room:
            _add(group, "text", run.outcome, x=left + 6, y=self.y + _BAR / 2 + 4)
        if run.is_expected:
            self.legend[f"run {run.outcome}"] = run.outcome
        else:
            self.legend["run idle"] = "not expected to answer"

    def _draw_clients(self, label: str, idle: Sequence[tuple[float, float]]) -> None:
        """Draw the requests of each kind of client, the certificates shown, and the sessions."""
        requests = lanes.client_streaks(self.timeline, label, idle)
        for kind, found in requests.items():
            self._draw_name(kind, self.y + _CLIENT_BAR, x=_INDENT)
            for run in sorted(found, key=lambda run: run.outcome != "ok"):
                self._draw_run(f"{label} by {kind}", run, "request", _CLIENT_BAR)
            if kind == "tls":
                self.y += _ROW
                for at, name in lanes.certificates(self.timeline, label):
                    self._draw_certificate(label, at, name)
            self.y += _ROW
        groups = lanes.sessions(self.timeline, label)
        if groups:
            self._draw_name("sessions", self.y + _CLIENT_BAR, x=_INDENT)
            pitch = min(_SESSION, _SESSIONS / len(groups))
            for group in groups:
                kind = f"session {group.end}"
                words = f"{label}: {counted(group.number, 'session')} {group.end}"
                self._draw_stretch(kind, group.opened, group.ended, self.y, pitch * 0.7, words)
                self.legend[kind] = group.end
                self.y += pitch
        if requests or groups:
            self.y += _ROW / 2

    def _draw_certificate(self, label: str, at: float, name: str) -> None:
        mark = _add(self.svg, "text", f"▸ {name}", x=self._x(at), y=self.y + _CLIENT_BAR)
        mark.set("class", "certificate")
        _add(mark, "title", f"{label} shows {name}, from {self._describe_time(at, at)} on")

    def _draw_owners(self, label: str, phase: Phase) -> None:
        """Draw owners, one above the other where several held the listener at once."""
        there = [owner for owner in OWNERS if owner in phase.owners]
        height = _BAND / len(there)
        queue = f", {phase.queue} waiting at most" if phase.queue else ""
        for number, owner in enumerate(there):
            kind = f"owner {(owner or 'nobody').partition(' ')[0]}"
            words = self.timeline.name_owner(owner or "nobody")
            y = self.y + _BAR + 3 + number * height
            text = f"{label} held by {words}"
            self._draw_stretch(kind, phase.start, phase.end, y, height, text, queue)
            self.legend[kind] = words

    def _draw_cause(self, cause: ListenerCause) -> None:
        """Frame the owners that are a cause of the verdict."""
        at = next(each.at for each in self.timeline.reloads if each.step == cause.step)
        words = f"a cause of the verdict: held by {listed(cause.owners) or 'nobody'}"
        if cause.dormant:
            words += f" (out of LISTEN: {listed(cause.dormant)})"
        start, end, y = at + cause.start, at + cause.end, self.y + _BAR + 1
        self._draw_stretch("cause", start, end, y, _BAND + 4, words)
        self.legend["cause"] = "cause of the verdict"

    def _draw_stretch(
        self,
        kind: str,
        start: float,
        end: float,
        y: float,
        height: float,
        words: str,
        note: str = "",
    ) -> None:
        """Draw a box as long as a stretch of time; its title has words, the time and a note."""
        box = _box(self.svg, self._x(start), self._x(end), y, height)
        box.set("class", kind)
        _add(box, "title", f"{words}, {self._describe_time(start, end)}{note}")

    def _draw_seconds(self) -> None:
        """Draw the axis, and lines upwards from its ticks and downwards from each step."""
        for at in ticks(self.start, self.end):
            x = self._x(at)
            _add(self.lines, "line", x1=x, x2=x, y1=self.y, y2=self.y + 5, kind="tick")
            _add(self.svg, "text", f"{at:g} s", x=x, y=self.y + 19, kind="tick")
        for line in self.lines.iterfind("line[@class!='tick']"):
            line.set("y2", f"{self.y:g}")
        _add(self.lines, "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=self.y, y2=self.y, kind="axis")
        self.y += 36

    def _draw_legend(self) -> None:
        """Draw the legend: a row for each of HAProxy, connections and listeners."""
        for name, kinds in _LEGENDS.items():
            found = [kind for kind in kinds if kind in self.legend]
            if not found:
                continue
            self._draw_name(name, self.y + 11)
            x = _LEFT
            for kind in found:
                group = _add(self.svg, "g", kind=kind)
                _box(group, x, x + 14, self.y + 2, 10)
                _add(group, "text", self.legend[kind], x=x + 20, y=self.y + 11, kind="legend")
                x += len(self.legend[kind]) * _CHARACTER + 42
            self.y += _ROW
        self.y += 4

    def _draw_name(self, name: str, y: float, x: float = 0, kind: str = "name") -> None:
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        label = _add(self.svg, "text", x=x, y=y, kind=kind)
        _add(label, "tspan", short)
        if short != name:
            _add(label, "title", name)

    def _describe_time(self, start: float, end: float) -> str:
        """Return a time, and how long after the last reload it was."""
        text = _span(start, end)
        before = [reload for reload in self.timeline.reloads if reload.at <= start]
        if not before:
            return f"{text} s"
        since = _span(start - before[-1].at, end - before[-1].at, sign="+")
        return f"{text} s ({since} s after the reload of step {before[-1].step})"


def _bounds(timeline: Timeline) -> tuple[float, float]:
    """Return when the first and the last thing happened."""
    times = [
        *(step.at for step in timeline.steps),
        *(probe.sent for probes in timeline.by_address.values() for probe in probes),
        *(reload.until for reload in timeline.reloads),
    ]
    start, end = min(times, default=0.0), max(times, default=0.0)
    return start, max(end, start + 1.0)


def _describe_report(reload: Reload, result: ReloadResult | None) -> tuple[str, str]:
    """Return HAProxy's report of a reload, as the class of a mark and in words."""
    if reload.reported is None:
        return "nothing", "said nothing"
    at = "" if reload.reported_at is None else f" {reload.reported_at - reload.at:+.2f} s"
    if result and result.is_true is False:
        return "untrue", f"{reload.reported}{at}, not true"
    return reload.reported, f"{reload.reported}{at}"


def _span(start: float, end: float, sign: str = "") -> str:
    """Return two times, or one where they are the same to a hundredth."""
    low, high = format(start, f"{sign}.2f"), format(end, f"{sign}.2f")
    return low if low == high else f"{low} to {high}"


def ticks(start: float, end: float) -> list[float]:
    """Return round seconds: at most a dozen steps of 1, 2 or 5, or ten times as much."""
    scales = (base * 10.0**power for power in itertools.count(-1) for base in (1, 2, 5))
    step = next(scale for scale in scales if (end - start) / scale <= _MOST_TICKS)
    return [number * step for number in range(math.ceil(start / step), int(end // step) + 1)]


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str | float) -> Element:
    """Return a new last child; `kind` is its class. Numbers are written to a tenth."""
    element = SubElement(parent, tag)
    for name, value in attributes.items():
        text_ = value if isinstance(value, str) else f"{round(value, 1):g}"
        element.set("class" if name == "kind" else name.replace("_", "-"), for_xml(text_))
    if text is not None:
        element.text = for_xml(text)
    return element


def _box(parent: Element, left: float, right: float, y: float, height: float) -> Element:
    return _add(parent, "rect", x=left, y=y, width=right - left, height=height)
