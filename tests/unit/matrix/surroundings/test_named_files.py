"""Files that lines of a configuration name."""

from __future__ import annotations

import pytest

from hatester.matrix.haproxy_config import parse, words
from hatester.matrix.surroundings.named_files import find_named_in_list, named, places_of


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("bind :443 ssl crt a.pem crt /b ca-file @system-ca crl-file c alpn h2",
         {("a.pem", "certificate", "crt-base"), ("/b", "certificate", "crt-base"),
          ("c", "certificates", "ca-base")}),
        ("bind :443 ssl crt-list /l tls-ticket-keys /t",
         {("/l", "certificate list", ""), ("/t", "ticket keys", "")}),
        ("load crt a.pem key b.key", {("a.pem", "certificate", "crt-base"),
                                      ("b.key", "certificates", "key-base")}),
        ("errorfile 503 /e", {("/e", "error file", "")}),
        ("http-request deny errorfile /e if { path -i -f /l }",
         {("/e", "error file", ""), ("/l", "list", "")}),
        ("http-request return status 200 lf-file /e", {("/e", "error file", "")}),
        ("use_backend %[path,map_beg(/m.map,default),lower]", {("/m.map", "list", "")}),
        ("lua-load-per-thread /x.lua argument", {("/x.lua", "Lua", "")}),
        ("lua-prepend-path /etc/lua/?.lua", {("/etc/lua/", "Lua", "")}),
        ("filter spoe engine x config /spoe.cfg", {("/spoe.cfg", "configuration", "")}),
        ("http-request set-map(/m.map) a b if { src,map_ip(/n.map) }",
         {("/m.map", "list", ""), ("/n.map", "list", "")}),
        ("http-request del-acl(/a.lst) %[src]", {("/a.lst", "list", "")}),
        ("acl a http_auth_bearer,jwt_verify(txn.alg,'/k.pem') 1", {("/k.pem", "certificates", "")}),
        ("acl a http_auth_bearer,jwt_verify(txn.alg,txn.key) 1", set()),
        ("httpclient.ssl.ca-file c.pem", {("c.pem", "certificates", "ca-base")}),
        ("ssl-f-use crt a.pem key a.key", {("a.pem", "certificate", "crt-base"),
                                           ("a.key", "certificates", "key-base")}),
        ("acl bad path /etc/shadow /key /file", set()),
        ("server crt 127.0.0.1:80", {("127.0.0.1:80", "certificate", "crt-base")}),
    ],
)  # fmt: skip
def test_the_files_that_a_line_names(line: str, files: set[tuple[str, str, str]]) -> None:
    assert {(each.path, each.kind, each.base) for each in named(words(line))} == files


def test_what_makes_a_word_the_path_of_a_file() -> None:
    line = "http-request return errorfile /e if { path,map(/m) } || { src -f /l } || { crt /c }"
    assert [each.keyword for each in named(words(line))] == ["errorfile", "map", "-f", "crt"]
    assert [each.keyword for each in find_named_in_list(words("/a [ca-file /c]"))] == [
        "crt",
        "ca-file",
    ]


def test_the_files_that_a_list_of_certificates_names() -> None:
    found = find_named_in_list(words("/a.pem [ca-file c.pem verify optional] www.example.org"))
    assert {(each.path, each.kind) for each in found} == {
        ("/a.pem", "certificate"), ("c.pem", "certificates"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "base", "path"),
    [
        ("default-path origin /srv\ncrt-base /etc/ssl", "crt-base", "/etc/ssl/x"),
        ("default-path origin /srv\nca-base ca", "ca-base", "/srv/ca/x"),
        ("default-path origin /srv\nca-base ca", "crt-base", "/srv/x"),
        ("default-path origin srv", "", "/srv/x"),
        ("default-path config", "", "/etc/haproxy/x"),
        ("default-path parent", "", "/etc/x"),
        ("", "key-base", "/x"),
    ],
)
def test_relative_paths_have_their_folders(text: str, base: str, path: str) -> None:
    lines = parse(f"global\n{text}")
    assert places_of(lines, {}).absolute(lines[0], "x", base) == path
