"""Settings of invoke.yaml and the environment."""

from __future__ import annotations

from typing import Any

import pytest

from hatester.util.errors import UserError
from hatester.util.settings import Settings, read_settings


@pytest.mark.parametrize("content", [{}, {"hatester": None}, {"hatester": {"mirror": None}}])
def test_nothing_is_the_default(content: dict[str, Any]) -> None:
    assert read_settings(content) == Settings()


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_HATESTER_MIRROR", "http://b")
    monkeypatch.setenv("INVOKE_HATESTER_SNAPSHOT_ARCHIVE", "http://c")
    found = read_settings({"hatester": {"mirror": "http://a", "security_mirror": "http://d"}})
    assert found == Settings("http://b", "http://d", snapshot_archive="http://c")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (5, r"hatester: expected keys \(mirror, .*, snapshot_archive\), got 5"),
        (["a"], "hatester: expected keys"),
        ({"mirror": 5}, "hatester: mirror: expected a URL such as .*, got 5"),
        ({"mirorr": "x"}, "hatester: mirorr: there is no such setting; did you mean mirror?"),
    ],
)
def test_a_mistake_is_named(content: object, sentence: str) -> None:
    with pytest.raises(UserError, match=f"invoke.yaml: {sentence}"):
        read_settings({"hatester": content})


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_HATESTER_MIROR", "x")
    with pytest.raises(UserError, match="INVOKE_HATESTER_MIROR: there is no such setting"):
        read_settings({})
