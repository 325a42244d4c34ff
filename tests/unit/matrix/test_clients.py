"""The clients of a scenario: their declaration, their words, and the modes that they meet."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.binds import Configuration
from hatester.matrix.clients import NUMBERS, Clients, modes, read_clients
from hatester.util.errors import UserError
from tests.factories.own_scenario import STARTED, folder, write

__all__ = ["folder"]

STORY = STARTED + "- reload: with\nclients: "


def test_kinds_have_defaults_and_may_be_listed_by_name(folder: Path) -> None:
    listed = write(folder, STORY + "[keep-alive, load]").clients
    assert listed == write(folder, STORY + "{keep-alive: {}, load: {}}").clients
    assert listed.keep_alive
    assert (listed.keep_alive.connections, listed.keep_alive.interval) == (2, 0.1)
    assert listed.load
    assert (listed.sessions, listed.tls, listed.sparse) == (None, None, None)
    assert write(folder, STARTED + "- reload: with\n").clients == Clients()


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{keepalive: {}}", "there is no key 'keepalive'; did you mean keep-alive"),
        ("[tsl]", "there is no key 'tsl'; did you mean tls"),
        ("x", "expected keys .*got 'x'"),
        ("{sessions: {connections: 0}}", "sessions: connections: expected at least 1, got '0'"),
        ("{tls: {interval: 0.001}}", "tls: interval: expected at least 0.01"),
        ("{sparse: {interval: 5}}", "sparse: addresses: this key is missing"),
        ("{sparse: {addresses: [x]}}", "sparse: addresses: 0: .*has no port"),
        ("{sparse: {addresses: ['10.0.0.1:80']}}", "sparse: addresses: there is no '10.0.0.1:80'"),
        ("{load: {rate: 2000}}", "load: 2000 connections a second are too many for 4 addresses"),
        ("{load: {rate: nan}}", "load: rate: expected"),
    ],
)
def test_a_mistake_names_the_kind_and_the_key(folder: Path, written: str, sentence: str) -> None:
    with pytest.raises(UserError, match=f"scenario.yml: clients: {sentence}"):
        write(folder, STORY + written)


def test_the_prober_leaves_sparse_addresses_alone(folder: Path) -> None:
    scenario = write(folder, STORY + "{sparse: {addresses: ['192.168.42.45:80']}}")
    assert [bind.label for bind in scenario.binds] == [
        "192.168.42.43:80", "192.168.42.44:80", "*:81",
    ]  # fmt: skip


@given(st.dictionaries(st.sampled_from([*NUMBERS]), st.integers(1, 1000) | st.none(), max_size=4))
def test_words_are_read_as_declarations(wanted: dict[str, int | None]) -> None:
    numbered = {kind: number if NUMBERS[kind] else None for kind, number in wanted.items()}
    words = [kind if number is None else f"{kind}={number}" for kind, number in numbered.items()]
    content = {kind: {NUMBERS[kind]: number} if number else {} for kind, number in numbered.items()}
    assert read_clients(words) == Clients.model_validate(content)


@pytest.mark.parametrize("word", ["", "=", "keep-alive=", "sessions=x", "tls=1", "sparse", "x=1"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"there is no|expected"):
        read_clients([word])


def test_flags_replace_only_kinds_that_they_name() -> None:
    own = read_clients(["keep-alive=3", "sessions=5"])
    both = own.with_more(read_clients(["sessions=7", "tls"]))
    assert both == read_clients(["keep-alive=3", "sessions=7", "tls"])


NAMES = st.sampled_from(["a", "b"])
MODES = st.none() | st.sampled_from(["tcp", "http"])


@given(st.lists(st.tuples(st.booleans(), NAMES, NAMES | st.none(), MODES), min_size=1, max_size=8))
def test_a_section_has_its_own_mode_or_that_of_its_defaults(
    sections: list[tuple[bool, str, str | None, str | None]],
) -> None:
    lines, expected, named, last = [], {}, dict[str, str](), "tcp"
    for number, (is_defaults, name, parent, own) in enumerate(sections, start=1):
        source = f" from {parent}" if parent in named else ""
        inherited = named.get(parent or "", "tcp" if is_defaults else last)
        mode = own or inherited
        line = f"defaults {name}" if is_defaults else f"listen l{number}"
        lines += (
            [line + source, f"    bind 127.0.0.1:{number}"] if not is_defaults else [line + source]
        )
        lines += [f"    mode {own}"] if own else []
        if is_defaults:
            named[name] = last = mode
        else:
            expected[f"127.0.0.1:{number}"] = mode
    assert modes(Configuration("x", "\n".join(lines))) == expected
