"""Configurations: what they bind, and what a setting makes of them."""

from __future__ import annotations

import pytest

from hatester.matrix.binds import Bind, Configuration, parse_bind
from hatester.matrix.declarations import Setting

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


def test_the_way_of_asking_is_that_of_the_line() -> None:
    text = """\
frontend x
 bind *:80 name ssl-x
 bind *:443 ssl crt x.pem # accept-proxy
 bind *:444 accept-proxy
 bind *:445 ssl accept-proxy
peers y
 bind *:1024
log-forward z
 bind *:514
 dgram-bind *:514
"""
    assert [(bind.port, bind.answer) for bind in Configuration("x", text).binds] == [
        (80, "named"), (443, "tls"), (444, "proxy"), (445, "proxy-tls"), (514, "connect"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("ipv4@192.168.42.43:80", ["192.168.42.43:80"]),
        ("ipv4@:80", [":80"]),
        ("ipv4@*:80", ["*:80"]),
        ("ipv6@:80", [":::80"]),
        ("ipv6@*:80", [":::80"]),
        ("tcp6@[FD00::1]:80", ["fd00::1:80"]),
        ("mptcp4@10.0.0.1:80", ["10.0.0.1:80"]),
        ("mptcp@10.0.0.1:80", ["10.0.0.1:80"]),
        ("stream+ipv4@10.0.0.1:80", ["10.0.0.1:80"]),
        ("stream+ip@10.0.0.1:80", ["10.0.0.1:80"]),
        ('"10.0.0.1:80"', ["10.0.0.1:80"]),
        ("'10.0.0.1':80", ["10.0.0.1:80"]),
        ('"${VIP}:80"', ["10.0.0.9:80"]),
        ('"$VIP:${PORT-81}"', ["10.0.0.9:81"]),
        ("${OWN}", ["10.0.0.8:82"]),
        ("10.0.0.1:8000-8010", ["10.0.0.1:8000", "10.0.0.1:8010"]),
        ("*:80-80,:81", ["*:80", ":81"]),
        ("/run/x.sock", ["/run/x.sock"]),
        ("unix@/run/x.sock", ["/run/x.sock"]),
        ("abns@x", ["abns@x"]),
        ("abnsz@x", ["abnsz@x"]),
        ("quic4@10.0.0.1:443", []),
        ("udp@:514", []),
    ],
)
def test_an_address_is_read_as_haproxy_reads_it(written: str, labels: list[str]) -> None:
    text = f"global\n setenv OWN 10.0.0.8:82\nfrontend x\n bind {written} name x\n"
    found = Configuration("x", text, env={"VIP": "10.0.0.9"}).binds
    assert [bind.label for bind in found] == labels


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        *((each, "has no port") for each in (
            "192.168.42.43", "*:http", "*:", "*:0", "*:65536", "*:8010-8000", "*:80-99999",
        )),
        ("fd@3", "no other program gives"),
        ("sockpair@3", "no other program gives"),
        ("web.example:80", "the name of a host"),
        ("${NONE}:80", "its variable has no value"),
        ("[fe80::1%eth0]:80", "has a zone"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_asked_is_refused(written: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _ = Configuration("x", f"frontend x\n bind {written} ssl\n").binds


def test_a_range_is_not_one_address() -> None:
    with pytest.raises(ValueError, match="not one address"):
        parse_bind("*:80-81")


def test_the_plain_setting_changes_nothing() -> None:
    assert Configuration("x", TEXT).under(Setting()) == TEXT


def test_a_configuration_without_global_gets_one() -> None:
    setting = Setting.model_validate({"global": ["nbthread 1"]})
    text = Configuration("x", "frontend main\n").under(setting)
    assert text == "global\n    nbthread 1\n\nfrontend main\n"
