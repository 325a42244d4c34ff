"""The answers that the checks of a configuration need of servers."""

from __future__ import annotations

import pytest

from hatester.matrix.surroundings.health_checks import peers, read, site

CONFIGURATION = """
global
    chroot /var/lib/haproxy
    maxconn 100
defaults
    option httpchk GET /status
    http-check expect status 204
resolvers dns
    nameserver a 192.0.2.53:53
    nameserver b tcp@192.0.2.54:5353
frontend x
    acl www hdr(host) -i www.example.org example.org
    bind :80
backend mail
    option smtpchk EHLO x
    server m1 192.0.2.25:25 check
    server m2 192.0.2.26
    server m3 [2001:db8::26]:+1000 check
backend db
    option mysql-check user x
    server d1 db.example.org:3306 check port 9200 addr 192.0.2.33
backend cache
    option tcp-check
    tcp-check send PING\\r\\n
    tcp-check expect string +PONG
    tcp-check expect rstring ^role:(master|replica)$
    server c1 unix@/run/redis.sock check
    server c2 192.0.2.63:6379 check
backend replicas
    option tcp-check
    tcp-check send PING\r\n
    tcp-check expect string +PONG
    tcp-check expect string role:slave
    server c2 192.0.2.63:6379 check
backend imap
    option tcp-check
    tcp-check expect string "* OK"
    tcp-check send-binary 300c0201
    tcp-check expect binary 0a0100
    server i1 192.0.2.14:143 check
backend galera
    server g1 192.0.2.90:3306 check
    default-server port 9201
backend api
    option httpchk
    http-check send meth HEAD uri /health
    http-check expect status 429
    http-check expect string synced
    server a1 192.0.2.80:80 check agent-check agent-port 9999
"""


def test_servers_are_asked_as_the_text_says() -> None:
    found = read([CONFIGURATION])
    assert found.protocols == {"25": "smtp", "9200": "mysql", "9999": "agent"}
    assert found.shifted == [("192.0.2.26", 0), ("2001:db8::26", 1000)]
    assert found.expected == ["synced"]
    assert found.scripts == {
        "143": ["* OK\r\n", "\n\x01\0\r\n"],
        "6379": ["", "+PONG\r\nrole:master\r\n+PONG\r\nrole:slave\r\n"],
    }
    assert found.statuses == {"/status": 204, "/health": 429}
    assert sorted(found.servers) == [
        "/var/lib/haproxy/run/redis.sock", "192.0.2.33:9200", "192.0.2.53:53", "192.0.2.54:5353",
        "192.0.2.80:9999", "192.0.2.90:9201",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("acl a hdr(host) -i -m str www.example.org", "www.example.org"),
        ("use_backend b if { req_ssl_sni -i db.example.org }", "db.example.org"),
        ("use_backend b if { ssl_fc_sni_end example.org }", "example.org"),
        ("acl a src 10.0.0.0/8", "hatester"),
    ],
)
def test_a_site_that_is_known_is_asked_for(line: str, name: str) -> None:
    assert site([f"frontend x\n    {line}\n"]) == name


def test_haproxy_is_the_first_of_its_peers_unless_it_has_a_name() -> None:
    text = "peers x\n  bind :10000\n  peer lb1 192.0.2.1:10000\n  peer lb2 192.0.2.2:10000\n"
    assert peers(text) == ["lb1", "lb2"]
    assert peers(f"global\n    localpeer lb2\n{text}") == []
