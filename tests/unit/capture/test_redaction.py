"""No secret survives in a copy, and the copy can be used as before."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.capture import redact_haproxy
from hatester.capture.files import Gathered, Wanted
from hatester.capture.placeholders import Placeholders, looks_random
from hatester.capture.redact import Copies
from hatester.capture.redact_lua import lua
from hatester.capture.redaction import Redaction

CONFIGURATION = """\
global
    setenv DB_PASSWORD {secret}
    presetenv API_TOKEN "{secret} and more"
    setenv DATABASE "postgres://haproxy:{secret}@db/x"
    # formerly {secret}

userlist people
    group admins users alice
    user alice insecure-password {secret} groups admins
    user "bob" insecure-password "{secret}"

defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s

frontend main # {secret}
    bind 127.0.0.1:8080 name auth
    stats enable
    stats auth admin:{secret}
    acl has_key req.hdr(X-Api-Key) -m str {secret}
    acl is_auth http_auth(people)
    acl counted req.hdr_cnt(Authorization) gt 1
    http-request deny unless {{ req.hdr(Authorization) -i "Bearer {secret}" }} || has_key
    http-request deny if !is_auth counted
    http-request deny if {{ path,map(/dev/null),hmac(sha256,{secret}) -m found }}
    http-request set-header Authorization "Basic {secret}"
    http-request replace-header Cookie (.*) {secret} if has_key
    http-request set-header X-Forwarded-For %[src]
    http-request set-var(txn.api_secret) str({secret})
    http-request redirect location / set-cookie SID={secret} if has_key
    http-request redirect location https://www.example.org/?token={secret} if has_key
    default_backend servers

backend servers
    dynamic-cookie-key {secret}
    cookie SERVERID insert indirect nocache dynamic
    option httpchk
    http-check send meth GET uri /?key={secret} hdr X-Token {secret} body "password={secret}"
    server one 127.0.0.1:8081 check agent-check agent-port 9000 agent-send "login {secret}"

backend others
    mode tcp
    option tcp-check
    tcp-check send "AUTH {secret}\\r\\n"
    server token-service 127.0.0.1:8082
"""
SETTINGS = """\
# {secret}
CONFIG=/etc/haproxy/haproxy.cfg
ADMIN_PASSWORD='{secret}'
Environment="MY_SECRET={secret}" "EXTRAOPTS=-S /run/haproxy-master.sock"
ExecStart=/usr/sbin/haproxy --token {secret} -f $CONFIG
"""
LUA = """\
-- {secret}
--[==[ {secret}
]] {secret} ]==]
local password = "{secret}"
local headers = {{ ["Authorization"] = 'Basic {secret}', token = [[{secret}]] }}
core.register_action("check_token", {{ "http-req" }}, function(txn)
    if txn.http:req_get_headers()["x-api-key"][0] ~= "{secret}" then txn:done() end
    txn.http:req_set_header("Cookie", "{secret}")
end, 0)
"""
ERROR_FILE = (
    "HTTP/1.0 401 No\r\nSet-Cookie: session={secret}\r\nContent-Length: 1\r\n\r\n"
    '<a href="https://user:{secret}@www.example.org/">in</a>'
)
# What people choose, with the characters that HAProxy takes in a word as they are; not one that
# stands in the templates anyway.
chosen = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{5,30}", fullmatch=True).filter(
    lambda secret: (
        not any(secret in each for each in (CONFIGURATION, SETTINGS, LUA, ERROR_FILE))
        and secret not in "hatester-placeholder-0123456789"
    )
)
made = st.integers(0, 2**64).map(
    lambda seed: base64.b64encode(random.Random(seed).randbytes(30 + seed % 9)).decode()
)


def redacted(template: str, kind: str, secret: str) -> str:
    redaction = Redaction(Placeholders(), "file")
    text = template.format(secret=secret)
    match kind:
        case "configuration":
            return redact_haproxy.configuration(text, redaction)
        case "settings":
            return redaction.settings(text)
        case "lua":
            return lua(text, redaction)
    return redaction.error_file(text)


KINDS = pytest.mark.parametrize(
    ("template", "kind"),
    [(CONFIGURATION, "configuration"), (SETTINGS, "settings"), (LUA, "lua"), (ERROR_FILE, "error")],
    ids=["configuration", "settings", "lua", "error"],
)


@KINDS
@given(secret=chosen | made)
def test_no_planted_secret_survives(template: str, kind: str, secret: str) -> None:
    copy = redacted(template, kind, secret)
    assert secret not in copy
    assert len(copy) > 50


@given(secret=made, words=st.lists(st.text(alphabet="abc .:-_", max_size=8), max_size=4))
def test_what_looks_like_a_key_survives_nowhere(secret: str, words: list[str]) -> None:
    redaction = Redaction(Placeholders(), "file")
    text = " ".join([*words, secret, f'"{secret}"', *words])
    hexadecimal = base64.b64decode(secret).hex()
    for copy in (
        redaction.any_text(text),
        redaction.list(text, is_secret=False),
        redaction.settings(f"X={hexadecimal}"),
        redact_haproxy.configuration(f"frontend x\n  description {hexadecimal}", redaction),
        redact_haproxy.certificate_list(f"a.pem [alpn h2] {secret}", redaction),
        redaction.settings(f'Options="-x {secret}" {secret}=x'),
        lua(f'f("{secret}", "{hexadecimal}")', redaction),
    ):
        assert secret not in copy
        assert hexadecimal not in copy


def test_what_is_no_secret_stays_as_it_is() -> None:
    text = CONFIGURATION.format(secret="correct-horse")
    copy = redact_haproxy.configuration(text, Redaction(Placeholders(), "file"))
    for line in (
        "    group admins users alice",
        "    bind 127.0.0.1:8080 name auth",
        "    acl is_auth http_auth(people)",
        "    acl counted req.hdr_cnt(Authorization) gt 1",
        "    http-request set-header X-Forwarded-For %[src]",
        "    cookie SERVERID insert indirect nocache dynamic",
        "    server token-service 127.0.0.1:8082",
        "frontend main",
    ):
        assert line in copy.split("\n")
    assert len(copy.split("\n")) == len(text.split("\n"))


def test_each_replacement_is_told_by_its_line_and_never_by_its_value() -> None:
    placeholders = Placeholders()
    text = (
        "global\n  # x\nuserlist u\n  user a password $6$hash\n  user b insecure-password horse\n"
    )
    copy = redact_haproxy.configuration(text, Redaction(placeholders, "/etc/haproxy.cfg"))
    assert [str(each) for each in placeholders.replaced] == [
        "/etc/haproxy.cfg, line 4: password of a user",
        "/etc/haproxy.cfg, line 5: password of a user",
    ]
    assert "user a password $5$hatester.1\n" in copy
    assert "user b insecure-password hatester-placeholder-2\n" in copy


def test_the_same_secret_has_the_same_placeholder_and_names_keep_theirs() -> None:
    key, name = "0123456789abcdef0123", "be-7f3a9c2e1d4b5a6f7e8d"
    text = (
        f"frontend f\n  use_backend {name} if {{ path /{key} }}\nbackend {name}\n"
        f"  http-request set-header X-Key {key}\n  http-request set-header X-Secret a.b\n"
        f"  http-request set-header X-Id %[path,hmac(sha256,a2V5LWtleS1rZXktLQ==),hex]\n"
    )
    redaction = Redaction(Placeholders(), "file", redact_haproxy.declared([text]))
    copy = redact_haproxy.configuration(text, redaction)
    first = b"hatester-placeholder-1".hex()
    assert f"use_backend {name} if {{ path /{first} }}" in copy
    assert f"X-Key {first}\n" in copy
    assert "X-Secret hatester-placeholder-2\n" in copy
    assert "hmac(sha256,aGF0ZXN0ZXItcGxhY2Vob2xkZXItMw==),hex]" in copy


def test_an_error_file_is_as_long_as_it_says() -> None:
    copy = redacted(ERROR_FILE, "error", "correct-horse")
    head, body = copy.split("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    well = "HTTP/1.0 200 OK\r\nContent-Length: 999\r\n\r\nOK"
    assert redacted(well, "error", "") == well


def test_all_but_numbers_and_addresses_of_a_secret_list_is_replaced() -> None:
    text = "# who\nhorse 10\n192.0.2.0/24 battery\n"
    assert Redaction(Placeholders(), "file").list(text, is_secret=True) == (
        "\nhatester-placeholder-1 10\n192.0.2.0/24 hatester-placeholder-2\n"
    )


def test_ticket_keys_are_fresh_and_of_the_same_length() -> None:
    keys = [
        base64.b64encode(bytes([number] * size)).decode() for number, size in ((1, 48), (2, 80))
    ]
    copy = Redaction(Placeholders(), "file").ticket_keys("\n".join(keys) + "\n").split("\n")
    assert [len(base64.b64decode(key)) for key in copy] == [48, 80, 0]
    assert not {*keys} & {*copy}


@pytest.mark.parametrize(
    "name",
    [
        "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_CHACHA20_POLY1305_SHA256", "X-Forwarded-Proto",
        "set-proxy-v2-tlv-fmt", "tune.ssl.default-dh-param", "BindReadOnlyPaths",
        "RestrictAddressFamilies", "/etc/haproxy/errors/503-sorry-page.http", "1234567890123456",
    ],
)  # fmt: skip
def test_what_people_write_does_not_look_random(name: str) -> None:
    assert not looks_random(name)


@given(st.text() | st.binary().map(lambda data: data.decode(errors="surrogateescape")))
def test_no_text_makes_it_fall_over(text: str) -> None:
    for kind in ("configuration", "certificate", "certificates", "certificate list", "ticket keys",
                 "error file", "list", "Lua"):  # fmt: skip
        gathered = Gathered({"/x": text}, {"/x": Wanted(kind)})
        Copies(frozenset()).all(gathered, {"/y": text})


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed here")
def test_haproxy_reads_a_copy_as_it_reads_what_it_was_made_of(tmp_path: Path) -> None:
    text = CONFIGURATION.format(secret=base64.b64encode(b"correct-horse").decode())
    for name, content in (
        ("before", text),
        ("after", redact_haproxy.configuration(text, Redaction(Placeholders(), "file"))),
    ):
        (tmp_path / name).write_text(content)
        words = ["haproxy", "-c", "-f", str(tmp_path / name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
