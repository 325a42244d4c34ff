"""Lines whose programs, or their settings, were not given are left out, with what uses them."""

from __future__ import annotations

from collections.abc import Mapping

from hatester.matrix.surroundings.omissions import COMMENT
from hatester.matrix.surroundings.surroundings import Surroundings, surround

FILE = "haproxy.cfg"
WAF = """\
frontend www
  filter spoe engine waf config /etc/haproxy/waf.cfg
  http-request send-spoe-group waf check
  http-request send-spoe-group other check
  http-request deny if { var(txn.waf.fail) -m int gt 0 }
"""
LUA = """\
global
  lua-prepend-path /opt/lua/?.lua
  lua-load /etc/haproxy/auth.lua key=value
frontend www
  http-request lua.auth
  http-request set-var(txn.a) path,lua.hash
  http-request set-header X-A "%[lua.user(1)]"
  acl is_known lua.known -m found
  acl is_local lua.local -m found
  acl is_local src 10.0.0.0/8
  acl is_site hdr(host) lua.example.org
  http-request deny unless is_known || { path /open }
  http-request deny if !is_local is_site
  http-request deny if { hdr(host) lua.example.org } is_site
  use-service lua.page if { path /lua }
frontend other
  acl is_known src 10.0.0.0/8
  http-request deny if is_known
"""


def around(text: str, given: Mapping[str, str] | None = None) -> Surroundings:
    return surround({FILE: text}, given or {}, {})


def left_out(found: Surroundings) -> list[str]:
    lines = found.texts[FILE].split("\n")
    return [line.removeprefix(COMMENT).strip() for line in lines if line.startswith(COMMENT)]


def test_without_its_script_what_uses_lua_is_left_out() -> None:
    found = around(LUA)
    lines = [line.strip() for line in LUA.split("\n")]
    assert left_out(found) == [*lines[1:3], *lines[4:9], lines[11], lines[14]]
    assert found.said == (
        "left out line 3 of haproxy.cfg, and 8 dependent lines: Lua /etc/haproxy/auth.lua is not "
        "given (--file /etc/haproxy/auth.lua=LOCAL)",
    )


def test_what_scripts_that_were_given_register_stays() -> None:
    scripts = {
        "/etc/haproxy/auth.lua": 'core.register_action("auth", {"http-req"}, f)',
        "/opt/lua/hash.lua": "core.register_converters('hash', f)",
    }
    found = around(LUA.replace("global\n", "global\n  lua-load-per-thread x.lua\n"), scripts)
    assert [line for line in left_out(found) if "auth" in line or "hash" in line] == []
    assert left_out(found)[:2] == [
        "lua-load-per-thread x.lua", 'http-request set-header X-A "%[lua.user(1)]"',
    ]  # fmt: skip
    assert found.said[0].startswith("left out line 2 of haproxy.cfg, and 5 dependent lines: Lua /x")


def test_a_filter_without_its_configuration_is_left_out() -> None:
    found = around(WAF)
    assert left_out(found) == [line.strip() for line in WAF.split("\n")[1:3]]
    assert found.said == (
        "left out line 2 of haproxy.cfg, and 1 dependent line: the SPOE configuration "
        "/etc/haproxy/waf.cfg is not given (--file /etc/haproxy/waf.cfg=LOCAL)",
    )
    text = "filter opentracing id ot config ot.cfg\nhttp-request ot-group ot group"
    assert left_out(around(text)) == text.split("\n")


def test_programs_and_databases_of_devices_are_left_out() -> None:
    text = (
        "global\n51degrees-data-file /d.trie\n51degrees-cache-size 9\n"
        "program api\n\n  command x # y\n# listen\n  option start-on-reload\n"
        "listen a\nhttp-request set-header X %[51d.all(A)]\n"
    )
    found = around(text)
    assert left_out(found) == [
        "51degrees-data-file /d.trie", "51degrees-cache-size 9", "program api", "command x # y",
        "option start-on-reload", "http-request set-header X %[51d.all(A)]",
    ]  # fmt: skip
    assert found.said == (
        "left out lines 4 to 8 of haproxy.cfg: hatester does not start the program api",
        "left out line 2 of haproxy.cfg, and 2 dependent lines: the database of devices /d.trie is "
        "not given (--file /d.trie=LOCAL)",
    )
