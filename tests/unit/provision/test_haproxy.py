"""HAProxy's reports of a reload, in the log of each version."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.guest.haproxy import HAProxy, word

FORKED = "[NOTICE] 326/002251 (354) : New worker #1 (356) forked"
WAITPID = "[WARNING] 326/002258 (354) : Reexecuting Master process in waitpid mode"
LOADED = "[NOTICE]   (427) : Loading success."
FAILED = "[WARNING]  (427) : Failed to load worker (439) exited with code 1 (Exit)"
BEGINS = "[WARNING] 303/161811 (12) : Reexecuting Master process"
FORMER = "[WARNING] 303/161813 (12) : Former worker 14 exited with code 0"
MUTE = "[WARNING] 303/161813 (12) : Worker 14 exited with code 0"
NOISE = "[WARNING]  (436) : Resumed frontend main."


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], None),
        ([NOISE], None),
        ([NOISE, FORKED, NOISE], ("success", 1.0)),
        ([NOISE, LOADED], ("success", 1.0)),
        ([NOISE, NOISE, WAITPID, NOISE], ("failure", 2.0)),
        ([FAILED, NOISE], ("failure", 0.0)),
        (["[ALERT] 1/1 (1) : Loading failure!"], ("failure", 0.0)),
        # 1.8 has no word for success but the end of the old worker, after it has begun anew.
        ([BEGINS], None),
        ([BEGINS, FORMER], ("success", 1.0)),
        ([FORMER], None),
        ([FORMER, BEGINS], None),
        ([BEGINS, WAITPID, BEGINS], ("failure", 1.0)),
        ([BEGINS, WAITPID, BEGINS, MUTE], ("failure", 1.0)),
        # Lines of the master before it began anew belong to the reload before.
        ([FORKED, BEGINS], None),
        ([WAITPID, BEGINS, BEGINS, FORKED], ("success", 3.0)),
        # A reload that was overtaken by another: the last word counts.
        ([LOADED, FAILED, NOISE], ("failure", 1.0)),
        ([FAILED, LOADED], ("success", 1.0)),
    ],
)
def test_last_word_counts(lines: list[str], found: tuple[str, float] | None) -> None:
    assert word([(float(at), line) for at, line in enumerate(lines)]) == found


@pytest.mark.parametrize(
    ("version", "is_heard"),
    [("1.8.26", False), ("1.9.0", True), ("2.2.9-2+deb11u6", True), ("3.5-dev2", True), ("", True)],
)
def test_workers_of_1_8_are_silent(version: str, is_heard: bool) -> None:
    haproxy = HAProxy(Path("/nowhere"), [])
    haproxy.version = version
    assert haproxy.is_heard is is_heard
