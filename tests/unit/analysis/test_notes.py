"""Notes beside a verdict: their words, and the answers that those who asked were given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.notes import share_words
from tests.factories.cells import table_line
from tests.factories.evidence import evidence, judge, reload


@pytest.mark.parametrize(
    ("changes", "note", "sentence"),
    [
        (
            {"refusal": "connect: No such file"},
            "not taken",
            'nobody took the request for the reload: "connect: No such file" (step 6)',
        ),
        (
            {"exit_code": 0},
            "",
            "the command that asked for the reload exited with status 0 all the same (step 6)",
        ),
        (
            {"reported": None, "answer": "Can't connect to the target CLI!\n"},
            "no word",
            'the master CLI answered "Can\'t connect to the target CLI!" (step 6)',
        ),
        (
            {"logged": "success", "answer": "Success=0\n--\n"},
            "",
            "the master CLI answered Success=0, though HAProxy logged success (step 6)",
        ),
    ],
)
def test_what_the_asker_was_given_is_said_where_it_disagrees(
    changes: dict[str, Any], note: str, sentence: str
) -> None:
    found = judge(evidence(reloads=[reload(**changes)]))
    assert table_line(found) == ", ".join(filter(None, ["ok", note]))
    assert sentence in found.explanation


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_shares_have_words(shares: list[float]) -> None:
    words = share_words(shares)
    assert (words == "") == (min(shares) >= 0.95)
    assert words in ("", "half") or words.endswith("%")
