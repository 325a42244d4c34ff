"""Verdicts: what holds of any evidence."""

from __future__ import annotations

import copy
import json
import random

from hypothesis import given
from hypothesis import strategies as st

from hatester.analysis.outcomes import SEVERITY
from provision.guest.connections import OUTCOMES
from tests.factories.evidence import (
    A44,
    AT,
    LABELS,
    OLD,
    STATS,
    UNTIL,
    evidence,
    held,
    judge,
    listener,
    storm,
)
from tests.factories.hostile import examples

EXPECTED = LABELS[1:]


FAILURES = [outcome for outcome in OUTCOMES if outcome != "ok"]


windows = st.lists(
    st.tuples(
        st.floats(AT, UNTIL), st.floats(0.0, 3.0), st.sampled_from(FAILURES)
    ).map(lambda each: (each[0], each[0] + each[1], each[2])),
    max_size=3,
)  # fmt: skip


failing = st.fixed_dictionaries(dict.fromkeys(EXPECTED, windows))


@given(failing, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    failures: dict[str, list[tuple[float, float, str]]], chance: random.Random
) -> None:
    source = evidence(failures, interval=0.05)
    other = copy.deepcopy(source)
    chance.shuffle(other["addresses"])
    for probe in other["probes"]:
        probe[0] = other["addresses"].index(source["addresses"][probe[0]])
    chance.shuffle(other["probes"])
    there, here = judge(other), judge(source)
    assert (there.verdict, there.silent, there.quality) == (here.verdict, here.silent, here.quality)
    assert there.reloads[0].addresses == here.reloads[0].addresses


@examples(0.4)
@given(failing)
def test_judging_is_pure(failures: dict[str, list[tuple[float, float, str]]]) -> None:
    source = evidence(failures, interval=0.05, listeners=held((0.0, 6.0, (OLD,))))
    before = copy.deepcopy(source)
    assert judge(source) == judge(json.loads(json.dumps(source)))
    assert source == before


@examples(0.6)
@given(failing, st.integers(1, 12), st.floats(0.001, 0.3))
def test_any_storm_is_judged(
    failures: dict[str, list[tuple[float, float, str]]], number: int, length: float
) -> None:
    listeners = [*held((0.0, 1.3, (OLD,))), listener(STATS, 2.0, 2.0), listener(A44, 3.0, 5.0, 1)]
    found = judge(
        evidence(failures, interval=0.05, reloads=storm(number, length), listeners=listeners)
    )
    assert found.verdict in SEVERITY
    assert len(found.reloads) == number
    assert found.explanation
