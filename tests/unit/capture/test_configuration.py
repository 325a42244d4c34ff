"""The copy of a configuration: kept in its form, replaced by a number, or left out and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.capture import allow_list
from hatester.capture.capture import capture
from hatester.capture.configuration import Copy
from tests.factories.production_host import MadeUpHost


def copy_of(section: str, line: str, **values: str) -> str:
    """Return the copy of one line in a section."""
    return Copy(values).configuration(f"{section}\n{line}").split("\n")[1].strip()


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("server db-prod 10.0.0.1:5432 check inter 2s cookie abc weight 5",
         "server server1 10.0.0.1:5432 check inter 2s weight 5"),
        ("server x db.internal:80 sni str(check) check", "server server1 host1.invalid:80 check"),
        ("server x _http._tcp.web.consul resolvers r",
         "server server1 _service1._tcp.host1.invalid resolvers resolvers1"),
        ("server x unix@/run/own.sock send-proxy",
         "server server1 unix@/run/haproxy/socket1.sock send-proxy"),
        ("server x 10.0.0.1 source 192.0.2.1 usesrc clientip",
         "server server1 10.0.0.1 source 192.0.2.1 usesrc clientip"),
        ("bind [2001:db8::1]:443,:80 name own v6only", "bind [2001:db8::1]:443,:80 v6only"),
        ("bind 2001:db8::1:443 interface eth0", "bind 2001:db8::1:443 interface eth0"),
        ("bind :80 interface acme-lan", "bind :80 interface interface1"),
        ("bind abns@own accept-proxy", "bind abns@socket1 accept-proxy"),
        ("bind :443 ssl crt a.pem alpn h2,http/1.1",
         "bind :443 ssl crt /etc/haproxy/certificate1 alpn h2,http/1.1"),
        ("bind :443 ssl alpn h2,own", "bind :443 ssl"),
        ("bind fe80::1%own:80", ""),
        ("bind 10.0.0.1:80 maxconn many", "bind 10.0.0.1:80"),
        ("timeout client 30s", "timeout client 30s"),
        ("timeout client soon", ""),
        ("timeout client 30s own", ""),
        ("no option http-server-close", "no option http-server-close"),
        ("option httpchk GET /secret", "option httpchk"),
        ("option own", ""),
        ("log 192.0.2.9:514 local0 notice", "log 192.0.2.9:514 local0 notice"),
        ("log ring@own local0", "log ring@ring1 local0"),
        ("default_backend own", "default_backend backend2"),
        ("stick-table type string len 32 size 1m store gpc0,http_req_rate(10s)",
         "stick-table type string len 32 size 1m store gpc0,http_req_rate(10s)"),
        ("stick-table type ip size 1m store own", "stick-table type ip size 1m"),
        ('server x "${HOST}:80"', "server server1 192.0.2.7:80"),
        ("bind :${PORT}", "bind :8080"),
        ("bind :${NOT_SET}", ""),
        ("http-request deny", ""),
        ("own words", ""),
    ],
)  # fmt: skip
def test_a_value_is_kept_in_its_form(line: str, kept: str) -> None:
    assert copy_of("listen x", line, PORT="8080", HOST="192.0.2.7") == kept


def test_one_name_is_replaced_by_one_name() -> None:
    text = (
        "frontend web\ndefault_backend app\nbackend other\nserver a own.example:1\n"
        "backend app from own\nserver b OWN.example:2 track other/a\nserver a localhost:3\n"
    )
    assert Copy().configuration(text) == (
        "frontend frontend1\n    default_backend backend1\nbackend backend2\n"
        "    server server1 host1.invalid:1\nbackend backend1 from defaults1\n"
        "    server server2 host1.invalid:2 track backend2/server1\n"
        "    server server1 localhost:3\n"
    )


def test_what_is_left_out_is_counted_by_known_names() -> None:
    copy = Copy()
    copy.configuration(
        "userlist u\nuser a password b\nlisten x\nacl a b\nacl c d\nown e\nbind nothing:at:all\n"
        "server s 10.0.0.1 cookie c own d\nno log-tag\n"
    )
    assert copy.left_out == {
        "userlist": 1, "user": 1, "acl": 2, "other": 3, "bind": 1, "server cookie": 1, "log-tag": 1,
    }  # fmt: skip
    assert copy.unclear == ["bind, line 7"]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("version_atleast(2.4) && !feature(LUA)", "version_atleast(2.4) && !feature(LUA)"),
        ('streq("$SITE",north) || defined(OWN)', "1 || 0"),
        ("strstr(own,w)", "1"),
        ("feature(OWN)", "0"),
        ("own", "0"),
    ],
)
def test_a_condition_is_evaluated_as_far_as_it_is_known(condition: str, kept: str) -> None:
    copied = Copy({"SITE": "north"}).configuration(f".if {condition}\n.endif")
    assert copied == f".if {kept}\n.endif"


WORDS = sorted(
    {word for text in (*allow_list.OPTIONS.values(), *map("\n".join, allow_list.SECTIONS.values()))
     for word in text.replace("|", " ").split()}
    | {"-f", "-m", "{", "}", "acl", "map(", "src", ".if", "@", "@a/b", "[", "]", "no", "%"}
)  # fmt: skip
LINES = st.lists(st.lists(st.sampled_from(WORDS) | st.text(), max_size=6).map(" ".join), max_size=9)


@given(LINES.map("\n".join))
def test_no_configuration_makes_it_fall_over(text: str) -> None:
    host = MadeUpHost()
    host.files["/etc/haproxy/haproxy.cfg"] = text
    copied = capture(host)
    assert (
        copied.files["/etc/haproxy/haproxy.cfg"].count("\n")
        == text.removesuffix("\n").count("\n") + 1
    )
    Copy().certificate_list(text)
