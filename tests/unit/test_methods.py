"""What HAProxy's log says of a reload, in the words of its versions."""

from __future__ import annotations

import pytest

from provision.guest.haproxy import word

FORKED = "[NOTICE] 326/002251 (354) : New worker #1 (356) forked"
WAITPID = "[WARNING] 326/002258 (354) : Reexecuting Master process in waitpid mode"
LOADED = "[NOTICE]   (427) : Loading success."
FAILED = "[WARNING]  (427) : Failed to load worker (439) exited with code 1 (Exit)"
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
        # A reload that was overtaken by another: the last word counts.
        ([LOADED, FAILED, NOISE], ("failure", 1.0)),
        ([FAILED, LOADED], ("success", 1.0)),
    ],
)
def test_the_last_word_of_the_log_counts(lines: list[str], found: tuple[str, float] | None) -> None:
    assert word([(float(at), line) for at, line in enumerate(lines)]) == found
