"""Flags that are numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.cli.options import again, clients, count, duration, interval, seeds, step
from hatester.util.errors import UserError


@given(st.integers(1, 10_000))
def test_a_count_is_what_is_written(number: int) -> None:
    assert count("--repeat", str(number)) == number


@pytest.mark.parametrize("text", ["0", "-1", "", "two", "1.5", "²", "1e3", "10001"])
def test_a_count_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match="--repeat: expected a whole number from 1 to 10000"):
        count("--repeat", text)


def test_a_count_that_may_be_none_is_so_where_that_has_a_meaning() -> None:
    assert count("--jobs", "0", least=0) == 0


@pytest.mark.parametrize(
    ("repeat", "named", "found"),
    [
        ("", [], (0,)),
        ("1", [], (0,)),
        ("3", [], (0, 1, 2)),
        ("", ["7"], (7,)),
        ("", ["7", "0", "7"], (7, 0)),
        ("", ["999999999"], (999_999_999,)),
    ],
)
def test_seeds_are_named_or_counted_from_0(
    repeat: str, named: list[str], found: tuple[int, ...]
) -> None:
    assert seeds(repeat, named) == found


@pytest.mark.parametrize(
    ("repeat", "named", "sentence"),
    [
        ("0", [], "--repeat: expected a whole number from 1 to 10000"),
        ("", ["1", "x"], "--seed: expected a whole number from 0 to 999999999"),
        ("", ["-1"], "--seed: expected a whole number from 0 to 999999999, got '-1'"),
        ("", ["1000000000"], "--seed: .*, got '1000000000'"),
        ("2", ["5"], "--seed: with --repeat, the seeds are 0 and"),
    ],
)
def test_seeds_that_are_none_are_named(repeat: str, named: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        seeds(repeat, named)


@given(st.integers(5, 1000))
def test_an_interval_has_a_unit_or_is_in_seconds(milliseconds: int) -> None:
    texts = (f"{milliseconds}ms", f"{milliseconds / 1000}s", str(milliseconds / 1000))
    for text in texts:
        assert interval("--probe-interval", text) == pytest.approx(milliseconds / 1000)


def test_no_interval_is_none() -> None:
    assert interval("--probe-interval", "") is None


@pytest.mark.parametrize("text", ["4ms", "20", "1.1s", "-1s", "20 ms", "fast", "nan", "1e-2"])
def test_an_interval_that_no_prober_can_keep_is_named(text: str) -> None:
    with pytest.raises(UserError, match=f"--probe-interval: '{text}' is not a time from 5ms to 1s"):
        interval("--probe-interval", text)


@pytest.mark.parametrize(
    ("text", "number"), [("", 7), ("1", 1), ("7", 7), ("0", None), ("8", None), ("last", None)]
)
def test_a_step_is_one_that_there_is(text: str, number: int | None) -> None:
    if number:
        assert step("--step", text, 7) == number
    else:
        with pytest.raises(UserError, match="--step: "):
            step("--step", text, 7)


@pytest.mark.parametrize(
    ("value", "outcomes"),
    [
        ("", ()),
        (False, ()),
        (True, ("error",)),
        ("all", ("error", "unasked", "lossy", "outage", "down", "silent")),
    ],
)
def test_what_failed_is_what_was_not_measured_or_all_that_is_not_ok(
    value: str | bool, outcomes: tuple[str, ...]
) -> None:
    assert again(value) == outcomes
    with pytest.raises(UserError, match="--failed: there is no 'some'"):
        again("some")


UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 1000), min_size=1))
def test_a_duration_is_the_sum_of_its_parts_from_weeks_down_to_seconds(
    parts: dict[str, int],
) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    assert duration("--x", text) == sum(number * UNITS[unit] for unit, number in parts.items())


@pytest.mark.parametrize(("text", "seconds"), [("1h30m", 5400), ("90s", 90), ("0", 0), ("", None)])
def test_a_duration_may_be_nothing_or_not_be_given(text: str, seconds: float | None) -> None:
    assert duration("--x", text) == seconds


@pytest.mark.parametrize(
    "text", ["30", "1.5h", "-1h", "30m1h", "1h 30m", "1h1h", "h", "00", "1H", "²s", "999999999w"]
)
def test_what_is_no_duration_is_named_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(UserError, match=f"--x: '{text}' is not a time such as 90s, 30m, 1h30m, 7d"):
        duration("--x", text)


@given(st.text(max_size=12))
def test_any_other_text_is_a_duration_or_a_mistake_of_the_user(text: str) -> None:
    try:
        seconds = duration("--x", text)
    except UserError:
        return
    assert seconds is None if text == "" else seconds is not None and seconds >= 0


def test_clients_and_a_load_are_words() -> None:
    assert clients(["keep-alive", "sessions=4", "keep-alive"], "500/s") == (
        "keep-alive", "sessions=4", "load=500",
    )  # fmt: skip
    assert clients([], "") == ()


@pytest.mark.parametrize(
    ("given_", "load", "sentence"),
    [
        (["x"], "", "--client: there is no 'x'"),
        (["sessions=0"], "", "--client: sessions: connections: expected at least 1, got '0'."),
        ([], "500", "--load: '500' is not a rate such as 500/s."),
        ([], "0/s", "--load: load: rate: expected more than 0"),
    ],
)
def test_other_clients_are_named(given_: list[str], load: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        clients(given_, load)
    assert str(caught.value).startswith(sentence)
