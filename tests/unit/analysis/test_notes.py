"""Notes beside a verdict: stale answers, and old workers that are left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.notes import share_words


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_shares_have_words(shares: list[float]) -> None:
    words = share_words(shares)
    assert (words == "") == (min(shares) >= 0.95)
    assert words in ("", "half") or words.endswith("%")
