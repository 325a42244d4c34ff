"""Configurations: what they bind, and what a setting makes of them."""

from __future__ import annotations

from hatester.configurations import Bind, Configuration
from hatester.matrix import Setting

TEXT = """\
global
    daemon

frontend main # two lines
    bind 192.168.42.43:80,192.168.42.44:8080   # not bind 1.2.3.4:5
    bind *:81 interface dummy0
    bind :::82
    bind [fd00:42::43]:80
    # bind 192.168.42.45:80
"""


def test_binds_are_found_in_their_order() -> None:
    found = Configuration("x", TEXT).binds
    assert [(bind.address, bind.port) for bind in found] == [
        ("192.168.42.43", 80), ("192.168.42.44", 8080), ("*", 81), ("::", 82), ("fd00:42::43", 80),
    ]  # fmt: skip
    assert [bind.target for bind in found] == [
        "192.168.42.43", "192.168.42.44", "127.0.0.1", "::1", "fd00:42::43",
    ]  # fmt: skip
    assert [bind.is_wildcard for bind in found] == [False, False, True, True, False]


def test_a_label_is_as_haproxy_writes_it() -> None:
    assert Bind("*", 81).label == "*:81"
    assert Bind("192.168.42.43", 80).label == "192.168.42.43:80"


def test_a_setting_adds_to_global_and_to_every_bind_and_to_nothing_else() -> None:
    setting = Setting.model_validate({"global": ["nbthread 1"], "bind": ["transparent", "v6only"]})
    assert Configuration("x", TEXT).under(setting) == (
        TEXT.replace("global\n", "global\n    nbthread 1\n")
        .replace(":8080   # not", ":8080 transparent v6only   # not")
        .replace("interface dummy0", "interface dummy0 transparent v6only")
        .replace(":::82", ":::82 transparent v6only")
        .replace("]:80", "]:80 transparent v6only")
    )


def test_the_plain_setting_changes_nothing() -> None:
    assert Configuration("x", TEXT).under(Setting()) == TEXT


def test_a_configuration_without_global_gets_one() -> None:
    setting = Setting.model_validate({"global": ["nbthread 1"]})
    text = Configuration("x", "frontend main\n").under(setting)
    assert text == "global\n    nbthread 1\n\nfrontend main\n"
