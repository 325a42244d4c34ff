"""Configurations: what they bind, and what a setting makes of them."""

from __future__ import annotations

import pytest

from hatester.matrix.binds import Bind, Configuration, parse_bind
from hatester.matrix.models import Setting

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


def test_the_interface_of_a_bind_is_known() -> None:
    found = Configuration("x", TEXT).binds
    assert [bind.interface for bind in found] == [None, None, "dummy0", None, None]
    text = "frontend x\n bind :80,:81 v4v6 interface  veth0 # interface x\n bind :82 interface"
    assert [bind.interface for bind in Configuration("x", text).binds] == ["veth0", "veth0", None]


def test_an_address_that_is_bound_twice_counts_once() -> None:
    text = TEXT + "    bind *:81\n    bind [FD00:42:0::43]:80\n    bind 0.0.0.0:83\n"
    assert [bind.label for bind in Configuration("x", text).binds] == [
        "192.168.42.43:80", "192.168.42.44:8080", "*:81", ":::82", "fd00:42::43:80", "0.0.0.0:83",
    ]  # fmt: skip


def test_what_speaks_tls_is_not_asked() -> None:
    text = "frontend x\n bind *:80 name ssl-x\n bind *:443 ssl crt x.pem # y\n bind *:444 #ssl\n"
    assert [bind.label for bind in Configuration("x", text).binds] == ["*:80", "*:444"]


@pytest.mark.parametrize("text", ["192.168.42.43", "*:http", "*:", "*:0", "*:65536", "*:8000-8010"])
def test_an_address_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has no port"):
        parse_bind(text)
    with pytest.raises(ValueError, match="has no port"):
        _ = Configuration("x", f"frontend x\n bind {text} ssl\n").binds


def test_the_plain_setting_changes_nothing() -> None:
    assert Configuration("x", TEXT).under(Setting()) == TEXT


def test_a_configuration_without_global_gets_one() -> None:
    setting = Setting.model_validate({"global": ["nbthread 1"]})
    text = Configuration("x", "frontend main\n").under(setting)
    assert text == "global\n    nbthread 1\n\nfrontend main\n"
