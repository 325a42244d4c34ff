"""A configuration is given what it needs around it, and what is missing is left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import example, given
from hypothesis import strategies as st

from hatester.matrix.surroundings.omissions import COMMENT
from hatester.matrix.surroundings.surroundings import Surroundings, foreign_words, surround
from hatester.util.errors import UserError
from hatester.util.pem import LookAlikes

LOOK_ALIKES = LookAlikes()
FILE = "haproxy.cfg"


def around(
    text: str, given: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
) -> Surroundings:
    return surround({FILE: text}, given or {}, env or {}, LOOK_ALIKES)


def names_of(pem: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERT") :].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bind :443 ssl crt /etc/ssl/a.pem crt b.pem",
         ["a certificate for /etc/ssl/a.pem", "a certificate for /b.pem"]),
        ("bind :443 ssl crt /etc/haproxy/certs",
         ["a certificate for /etc/haproxy/certs/hatester.pem"]),
        ("bind :443 ssl crt /etc/ssl.d/", ["a certificate for /etc/ssl.d/hatester.pem"]),
        ("bind :443 ssl crt @store/a.pem ca-file @system-ca", []),
        ("bind :443 ssl crt-list /l/list.txt",
         ["a list of one certificate for /l/list.txt", "a certificate for /l/hatester.pem"]),
        ("bind :443 ssl verify required ca-file /ca.pem crl-file /crl.pem",
         ["a CA certificate for /ca.pem", "an empty list of revoked certificates for /crl.pem"]),
        ("bind :443 ssl ca-file /c/ ca-sign-file /s.pem tls-ticket-keys /t",
         ["a CA certificate for /c/hatester.pem", "a CA certificate with its key for /s.pem",
          "a set of ticket keys for /t"]),
        ("ssl-dh-param-file /dh.pem", ["a set of DH parameters for /dh.pem"]),
        ("server a 10.0.0.1:443 ssl ca-file /ca.pem crt /client",
         ["a CA certificate for /ca.pem", "a certificate for /client"]),
        ("server crt 10.0.0.1:443", []),
        ("http-request set-header X crt /a.pem", []),
        ("crt-base /etc/ssl\nca-base ca\nbind :443 ssl crt ../a.pem ca-file b.pem",
         ["a certificate for /etc/a.pem", "a CA certificate for /ca/b.pem"]),
        ("crt-base /a\ncrt-store\nload crt 1.crt key 1.key\n"
         "crt-store x\ncrt-base /b\nload crt 2.pem",
         ["a certificate for /a/1.crt", "a private key for /1.key", "a certificate for /b/2.pem"]),
        ("default-path config\nerrorfile 503 e/503.http",
         ["an error page for /etc/haproxy/e/503.http"]),
        ("errorfile 503 /dev/null", []),
        ("http-errors site\nerrorfile 404 /404.http", ["an error page for /404.http"]),
        ("errorloc 503 http://example.org/503", []),
        ("http-request return status 200 content-type text/html lf-file /a.html if { path / }",
         ["a page for /a.html"]),
        ("http-request deny deny_status 429 errorfile /429", ["an error page for /429"]),
        ("acl a src -f /nets -f /more", ["an empty list for /nets", "an empty list for /more"]),
        ("acl a hdr(host),map_beg(/a.map,x) -m found", ["an empty list for /a.map"]),
        ("use_backend %[hdr(host),lower,map(/a.map)] if { src -M -f /b }",
         ["an empty list for /a.map", "an empty list for /b"]),
        ("http-request set-var(txn.a) \"path,map('/a.map')\"", ["an empty list for /a.map"]),
        ("acl a path,map(virt@a),map(opt@/b) -m found", []),
        ("acl a path,map(file@/b) -m found", ["an empty list for /b"]),
        ("http-request add-acl(/a) %[src]", ["an empty list for /a"]),
        ("http-request deny if { http_auth_bearer,jwt_verify(txn.alg,\"/jwt.pem\") 1 }",
         ["a public key for /jwt.pem"]),
        ("resolvers r\n  parse-resolv-conf", ["a list of nameservers for /etc/resolv.conf"]),
        ("bind :443 ssl crt \"$DIR/${NAME}.pem\" # crt /other.pem", ["a certificate for /d/n.pem"]),
    ],
)  # fmt: skip
def test_missing_files_are_made(line: str, said: list[str]) -> None:
    found = around(line, env={"DIR": "/d", "NAME": "n"})
    assert found.said == tuple(f"made {each}" for each in said)
    assert found.texts == {FILE: line}
    assert [*found.made] == [each.rpartition(" ")[2] for each in said]
    assert tuple(found.notes.values()) == found.said


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("bind :443 ssl crt /a/www.example.org.combined.pem", ["www.example.org"]),
        ("bind :443 ssl crt /a/wildcard.example.org.pem", ["*.example.org"]),
        ("bind :443 ssl crt /live/example.org/fullchain.pem", ["example.org"]),
        ("bind :443 ssl crt /a/example.org.pem\nacl a hdr(host) www.example.org www.example.net",
         ["example.org", "www.example.org"]),
        ("bind :443 ssl crt /a/site.pem", ["hatester.invalid"]),
        ("bind :443 ssl crt /a/site.pem\nacl a hdr(host),lower -i a.example.org:80 localhost\n"
         "acl b req.ssl_sni -m end .example.net\nserver a 10.0.0.1 sni str(c.example.org)\n"
         "http-request deny if { ssl_fc_sni b.example.org } || { path d.example.org }",
         ["a.example.org", "*.example.net", "c.example.org", "b.example.org"]),
        ("bind :443 ssl crt /a/site.pem\nacl k hdr(host) \u212aelvin.example.or\u212a",
         ["hatester.invalid"]),
    ],
)  # fmt: skip
def test_a_certificate_has_the_names_that_are_asked_for(line: str, names: list[str]) -> None:
    [pem] = around(line).made.values()
    assert names_of(pem) == names
    assert load_pem_private_key(pem.encode(), None)


def test_made_files_fit_together() -> None:
    made = around(
        "bind :443 ssl crt /a.crt ca-file /ca.pem crl-file /crl.pem tls-ticket-keys /tickets\n"
        "bind :444 ssl crt /b.pem ca-file /both.pem crl-file /both.pem\ncrt-store\n"
        "load crt /a.crt key /a.key\nhttp-request deny if { str(x),jwt_verify(a,/jwt.pem) }"
    ).made
    ca = x509.load_pem_x509_certificate(made["/ca.pem"].encode())
    key = ca.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    revoked = x509.load_pem_x509_crl(made["/crl.pem"].encode())
    assert revoked.is_signature_valid(key)
    assert (revoked.issuer, len(revoked)) == (ca.subject, 0)
    assert load_pem_private_key(made["/a.key"].encode(), None).public_key() == key
    assert load_pem_public_key(made["/jwt.pem"].encode()) == key
    assert made["/both.pem"].count("-----BEGIN") == 2
    tickets = [base64.b64decode(line) for line in made["/tickets"].splitlines()]
    assert [len(ticket) for ticket in tickets] == [48, 48, 48]
    assert len({*tickets}) == 3


def test_an_error_page_is_a_response() -> None:
    made = around("errorfile 404 /a\nerrorfile 599 /b\nhttp-request deny errorfile /c").made
    assert [page.split("\r\n")[0] for page in made.values()] == [
        "HTTP/1.0 404 Not Found", "HTTP/1.0 599 Error", "HTTP/1.0 503 Service Unavailable",
    ]  # fmt: skip
    assert all("\r\n\r\n<html>" in page for page in made.values())


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("bind :443 ssl crt /etc/haproxy/a.pem", "/etc/haproxy/a.pem"),
        ("bind :443 ssl crt /usr/local/etc/haproxy/a.pem", "/etc/haproxy/a.pem"),
        ("bind :443 ssl crt /etc/haproxy/a.pem", "/usr/local/etc/haproxy/a.pem"),
        ("bind :443 ssl crt /etc/haproxy/certs", "/etc/haproxy/certs/a.pem"),
        ("bind :443 ssl crt /etc/haproxy/site", "/etc/haproxy/site"),
        ("bind :443 ssl crt /etc/haproxy/a.pem", "/etc/haproxy/a.pem.ecdsa"),
        ("acl a src -f nets.lst", "/nets.lst"),
        ("errorfile 503 /a/../b.http", "/b.http"),
        ("lua-load /a.lua\nhttp-request lua.a", "/a.lua"),
        ("filter spoe config /a.cfg", "/a.cfg"),
    ],
)
def test_files_that_were_given_are_not_made(line: str, file: str) -> None:
    found = around(line, {file: "something"})
    assert (found.made, found.said, found.texts) == ({}, (), {FILE: line})


def test_a_list_of_certificates_says_which_are_needed() -> None:
    text = "crt-base /etc/ssl\nbind :443 ssl crt-list /l\nacl a hdr(host) shop.example.org"
    lines = (
        "/b.pem [alpn h2 verify required ca-file /ca.pem] www.example.org !x.example.org",
        "# comment", "a.pem", "example.net.pem *.example.com", "given.pem",
    )  # fmt: skip
    found = around(text, {"/l": "\n".join(lines), "/etc/ssl/given.pem": ""})
    assert found.said == (
        "made a certificate for /b.pem",
        "made a CA certificate for /ca.pem",
        "made a certificate for /etc/ssl/a.pem",
        "made a certificate for /etc/ssl/example.net.pem",
    )
    assert names_of(found.made["/b.pem"]) == ["www.example.org"]
    assert names_of(found.made["/etc/ssl/a.pem"]) == ["shop.example.org"]
    assert names_of(found.made["/etc/ssl/example.net.pem"]) == ["*.example.com"]
    assert around(text).made["/l"] == "/hatester.pem\n"


@pytest.mark.parametrize(
    ("line", "folders"),
    [
        ("stats socket /run/a/x.sock mode 600", ["/run/a"]),
        ("stats socket ipv4@127.0.0.1:999", []),
        ("pidfile /var/run/b/x.pid", ["/var/run/b"]),
        ("chroot /var/empty/c", ["/var/empty/c"]),
        ("unix-bind prefix /srv/d/ user a\nbind /e/x.sock,:80\nbind unix@x.sock",
         ["/srv/d", "/srv/d/e"]),
        ("unix-bind prefix /srv/d/\nstats socket /f/x.sock", ["/srv/d", "/f"]),
        ("server-state-base /g\nserver-state-file h/x", ["/g", "/g/h"]),
        ("log /dev/log local0\nlog /run/i/log local0\nlog stdout local0", ["/run/i"]),
        ("default-path origin /j\nissuers-chain-path k", ["/j", "/j/k"]),
        ("bind abns@x,fd@3,*:80,[::]:80\nbind \"$DIR/x.sock\"\nbind ${DIR}/l/x.sock",
         ["/m", "/m/l"]),
        ("server a /run/x.sock", []),
        ("ring r\nbacking-file /n/x\nacme a\naccount-key /o/x", ["/n", "/o"]),
    ],
)  # fmt: skip
def test_folders_that_have_to_be_there(line: str, folders: list[str]) -> None:
    assert list(around(line, env={"DIR": "/m"}).folders) == folders


def test_users_and_groups() -> None:
    found = around(
        "global\nuser a\ngroup b\nuid 1\nunix-bind user c\n"
        "stats socket /x mode 600 user d group e\n"
        "userlist u\nuser nobody password x\ngroup none users nobody\n"
        "listen l\nbind /y user f group g uid 5\nbind :80 ssl\nprogram p\ncommand x\nuser h\n"
    )
    assert (found.users, found.groups) == (("a", "c", "d", "f"), ("b", "e", "g"))


@pytest.mark.parametrize(
    ("line", "hosts"),
    [
        ("server a web.example.org:80", ["web.example.org"]),
        ("server a web check", ["web"]),
        ("server a web:+100 addr b agent-addr c:1 source d usesrc e socks4 f:1080",
         ["web", "b", "c", "d", "e", "f"]),
        ("server a ipv6@web:80", ["web"]),
        ("server a 10.0.0.1:80\nserver b [2001:db8::a]:80\nserver c 2001:db8::a:80", []),
        ("server a unix@/x\nserver b abns@x\nserver c sockpair@3\nserver d rhttp@x", []),
        ("server-template a 1-3 web:80\nserver-template b 3 _http._tcp.example.org", ["web"]),
        ("peers p\npeer a peer-a:1024\nserver b peer-b:1024\npeer me", ["peer-a", "peer-b"]),
        ("nameserver a tcp@dns:53\nmailer b mail:25\ndispatch web:80", ["dns", "mail", "web"]),
        ("log logs:514 local0\nlog udp4@other local0\nno log\nlog global\nlog ring@r local0",
         ["logs", "other"]),
        ("bind www:80-90,*:80,:81,quic4@www2:443\ndgram-bind udp:514", ["www", "www2", "udp"]),
        ("source src\nsource 0.0.0.0 usesrc clientip\ndefault-server source src2", ["src", "src2"]),
        ("acl a src office 10.0.0.0/8\nhttp-request deny unless { hdr_ip(x) -n office2 } || a",
         ["office", "office2"]),
        ("acl a path office", []),
        ("http-check connect addr c port 80", ["c"]),
        ("server a \"${HOST}:80\"\nserver b $HOST:81\nserver c \"${NO-d}:80\"", ["h", "d"]),
        ("setenv A a.example.org\npresetenv HOST z\nserver a \"$A:80\"\nserver b $HOST",
         ["a.example.org", "h"]),
        ("bind \"${BINDS[*]}\"", ["i"]),
        ("server a \"$HOSTNAME:80\"", []),
    ],
)  # fmt: skip
def test_hosts_that_have_to_resolve(line: str, hosts: list[str]) -> None:
    assert list(around(line, env={"HOST": "h", "BINDS": "i:80 interface eth0"}).hosts) == hosts


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('bind "*:${PORT}"', "the variable PORT has no value. Give it with --env PORT=VALUE."),
        ("bind *:${PORT}", "the variable PORT has no value. Give it with --env PORT=VALUE."),
        ('userlist u\nuser a password "$SECRET"',
         "the variable SECRET has no value. Give it with --env SECRET=VALUE."),
        ('user "$HAPROXY_USER"',
         "the variable HAPROXY_USER has no value. Give it with --env HAPROXY_USER=VALUE."),
    ],
)  # fmt: skip
def test_a_variable_without_a_value_is_asked_for(line: str, problem: str) -> None:
    number = line.count("\n") + 3
    with pytest.raises(UserError) as raised:
        around(f"# comment\n\n{line}\n{line}")
    assert str(raised.value) == f"{FILE}, line {number}: {problem}"


def test_all_variables_without_a_value_are_asked_for_at_once() -> None:
    texts = {"a.cfg": 'stats auth "$USER:$PASSWORD"', "b.cfg": 'x\nstats auth "$USER:${OTHER}"'}
    with pytest.raises(UserError) as raised:
        surround(texts, {}, {"PASSWORD": "x"}, LOOK_ALIKES)
    assert str(raised.value) == (
        "These variables have no value: USER (a.cfg, line 1) and OTHER (b.cfg, line 2). "
        "Give them with --env USER=VALUE --env OTHER=VALUE."
    )


@pytest.mark.parametrize(
    "line",
    [
        'bind "*:${PORT-80}"',
        'bind "*:${PORT-}"',
        "http-request set-header X $PORT",
        "http-request set-header X '$PORT'",
        'http-request set-header X "\\$PORT"',
        '# bind "$PORT"',
        'setenv PORT 80\nbind "*:$PORT"',
        '.if defined(PORT)\nbind "*:$PORT"\n.endif',
        '.if streq("$PORT",80)\n.endif',
        'program a\ncommand "$PORT"\nlisten b',
        'peer "$HOSTNAME" "$HAPROXY_LOCALPEER:1024"\nlog-tag "${.FILE}:${.LINE}"',
        'acl a path_reg "^/x$"',
    ],
)
def test_variables_that_need_no_value(line: str) -> None:
    around(line)


def test_two_configurations_have_one_surrounding() -> None:
    texts = {
        "a.cfg": "bind :443 ssl crt /a.pem\nlua-load /x.lua",
        "b.cfg": "crt-base /b\nbind :443 ssl crt /a.pem crt a.pem\nserver a web:80",
    }
    found = surround(texts, {}, {})
    assert found.texts == {**texts, "a.cfg": f"bind :443 ssl crt /a.pem\n{COMMENT}lua-load /x.lua"}
    assert [*found.made] == ["/a.pem", "/b/a.pem"]
    assert found.hosts == ("web",)


def test_words_of_a_distribution_are_found() -> None:
    text = "global\n  ssl-default-bind-ciphers PROFILE=SYSTEM # PROFILE=X\n  ciphers A@SECLEVEL=0"
    assert foreign_words(text) == [(2, "PROFILE=SYSTEM")]


WORDS = st.sampled_from(
    ["global", "frontend", "program", "crt-store", "bind", "server", "acl", "filter", "spoe",
     "config", "engine", "lua-load", "lua.a", "lua-prepend-path", "crt", "ca-file", "crt-list",
     "-f", "map(/a)", "{", "}", "if", "!", "!a", "a", "/a", "/a/b", "b.pem", "10.0.0.1:80",
     "www.example.org", '"$A"', '"${A-b}"', '"${A[*]}"', "$A", ".if", ".endif", "hdr(host)", "src",
     "-m", "--", "errorfile", "503", "stats", "socket", "unix-bind", "prefix", "user", "crt-base",
     "default-path", "origin", "setenv", "A", "'x", '"y', "\\", "#", "\r", "file", "http-request",
     "use-service", "51degrees-data-file"]
)  # fmt: skip
LINES = st.lists(WORDS, max_size=9).map(" ".join) | st.text(max_size=20)


@given(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=30))
@example("bind :443 ssl crt-list /a", "[a] []\n[\n]")
def test_any_text_stays_but_for_what_is_left_out(text: str, content: str) -> None:
    found = around(text, {"/a": content}, {"A": 'b "c'})
    before, after = text.split("\n"), found.texts[FILE].split("\n")
    assert len(before) == len(after)
    assert all(new in (old, COMMENT + old) for old, new in zip(before, after, strict=True))
    assert all(path.startswith("/") for path in (*found.made, *found.folders))
