"""Captures of a made-up host, and of this one."""

from __future__ import annotations

import pytest

from hatester.capture.capture import capture
from hatester.util.errors import UserError
from tests.factories.planted import certificate
from tests.factories.production_host import CONFIGURATION, MadeUpHost, process


def test_a_host_is_captured_as_it_is() -> None:
    captured = capture(MadeUpHost())
    host = captured.host
    assert host.model_dump(mode="json", exclude_none=True) == {
        "kernel": {"release": "6.1.0-28-amd64", "architecture": "amd64"},
        "system": {"id": "debian", "suite": "bookworm"},
        "haproxy": {"version": "2.6.12-1+deb12u1", "package": "haproxy"},
        "unit": {
            "type": "notify", "reload": "systemd", "drop_ins": 1,
            "settings": {"LimitNOFILE": "200000"},
        },
        "arguments": ["-Ws"],
        "configurations": 1,
        "files": ["/etc/haproxy/haproxy.cfg"],
        "stand_ins": {},
        "sysctls": {},
        "limits": {"nofile": 200000},
        "addresses": [
            {"address": "192.0.2.80/32", "interface": "lo", "kind": "loopback"},
            {"address": "192.0.2.2/24", "interface": "eth0", "kind": "ether"},
            {"address": "192.168.42.43/32", "interface": "dummy0", "kind": "dummy"},
        ],
        "left_out": {},
        "not_read": [],
        "not_understood": [],
    }  # fmt: skip
    assert captured.files == {
        "/etc/haproxy/haproxy.cfg": CONFIGURATION.replace("main", "frontend1")
    }


def test_a_host_that_says_little_is_captured_by_what_it_says() -> None:
    host = MadeUpHost(facts={"release": "6.1.0\n", "machine": "aarch64\n"})
    found = capture(host).host
    assert (found.kernel.architecture, found.system.id, found.system.suite) == (
        "arm64", "linux", None,
    )  # fmt: skip
    assert (found.haproxy.version, found.haproxy.package) == (None, None)
    assert found.unit.reload == "soft-finish"
    assert found.configurations == 1
    assert found.not_read == (
        "haproxy.service: is not there",
        "sysctls in force: is not there",
        "addresses: is not there",
        "limits: no HAProxy runs",
    )


@pytest.mark.parametrize(
    ("words", "text", "reload"),
    [
        (("-W",), "", "signal"),
        ((), "global\n  master-worker\n", "signal"),
        ((), "# master-worker\n", "soft-finish"),
    ],
)
def test_without_a_unit_the_process_says_how_it_is_reloaded(
    words: tuple[str, ...], text: str, reload: str
) -> None:
    host = MadeUpHost()
    host.files["/srv/lb.cfg"] = text
    host.facts["main"] = "0\n"
    host.facts["processes"] = process(7, "haproxy", *words, "-f", "/srv/lb.cfg")
    found = capture(host).host
    assert (found.unit.reload, found.files) == (reload, ("/etc/haproxy/haproxy.cfg",))


def test_a_haproxy_that_is_no_package_says_its_version_itself() -> None:
    host = MadeUpHost()
    host.facts["package"] = "config-files 2.2.9-2"
    host.facts["version"] = "HA-Proxy version 1.8.26 2020/08/03\nCopyright ..."
    found = capture(host).host.haproxy
    assert (found.version, found.package) == ("1.8.26", None)


FILES = {
    "/etc/haproxy/haproxy.cfg": "global\n  crt-base /etc/ssl\n",
    "/etc/haproxy/conf.d/20.cfg": "frontend b\n  bind :443 ssl crt-list /etc/haproxy/list\n",
    "/etc/haproxy/conf.d/10.cfg": (
        "frontend a\n  bind :444 ssl crt folder crt denied.pem crt empty.pem\n"
        "  http-request deny if { src -f /etc/deny.lst } "
        "{ path,map_reg(/etc/r.map) -m found }\n"
    ),
    "/etc/haproxy/conf.d/README": "not a configuration",
    "/etc/haproxy/list": "a.pem [ca-file /etc/ca.pem ciphers X] a.example.org !b.example.org\n",
    "/etc/ssl/a.pem": certificate("a.example.org", "b.example.org"),
    "/etc/ssl/folder/b.pem": certificate("b.example.org"),
    "/etc/ssl/folder/b.pem.ocsp": "not a certificate",
    "/etc/ssl/empty.pem": "no block\n",
    "/etc/ca.pem": certificate("ca") * 3,
    "/etc/deny.lst": "192.0.2.1\n# nobody\n\n192.0.2.2\n",
    "/etc/r.map": "^/a b\n" * 7,
}
"""Configurations, and the files that they name."""


def test_files_keep_their_kind_and_number() -> None:
    host = MadeUpHost(denied=("/etc/ssl/denied.pem",))
    host.facts["processes"] = process(
        412, "haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-f", "/etc/haproxy/conf.d"
    )
    host.files |= FILES
    captured = capture(host)
    found = captured.host
    folder = "/etc/haproxy"
    assert found.configurations == 3
    assert found.files == (f"{folder}/haproxy.cfg", f"{folder}/list1")
    assert captured.files[f"{folder}/list1"] == (
        f"{folder}/certificate4 [ca-file {folder}/authorities1] host1.invalid !host2.invalid\n"
    )
    one = {"ECDSA P-256": 1}
    made = {path: each.model_dump(exclude_defaults=True) for path, each in found.stand_ins.items()}
    assert made == {
        f"{folder}/certificate1/1.pem": {"kind": "certificate", "keys": one, "names": 1},
        f"{folder}/certificate2": {"kind": "certificate", "keys": one, "names": 1},
        f"{folder}/certificate3": {"kind": "certificate", "keys": one, "names": 1},
        f"{folder}/certificate4": {"kind": "certificate", "keys": one, "names": 2},
        f"{folder}/authorities1": {"kind": "authorities", "keys": {"ECDSA P-256": 3}, "names": 1},
        f"{folder}/map1": {"kind": "map", "entries": 2, "match": "ip"},
        f"{folder}/map2": {"kind": "map", "entries": 7, "match": "reg"},
    }  # fmt: skip
    assert found.not_read == (
        "certificate2 (line 4): Permission denied",
        "certificate3 (line 4): it has no certificate",
    )
    assert dict(found.left_out) == {"crt-base": 1, "crt-list ciphers": 1, "http-request": 1}


def test_sysctls_that_the_host_sets_are_its_own() -> None:
    host = MadeUpHost(denied=("/etc/sysctl.d/secret.conf",))
    host.files |= {
        "/etc/sysctl.d/nonlocal.conf": "net.ipv4.ip_nonlocal_bind = 1\n",
        "/etc/sysctl.d/secret.conf": "",
    }
    host.facts["sysctls"] = (
        "/proc/sys/net/core/somaxconn:128\n/proc/sys/net/ipv4/ip_nonlocal_bind:1\n"
        "/proc/sys/net/ipv6/bindv6only:0\n"
    )
    found = capture(host).host
    assert found.sysctls == {"net.core.somaxconn": "128", "net.ipv4.ip_nonlocal_bind": "1"}
    assert found.not_read == ("file of sysctls 2: Permission denied",)


def test_without_a_configuration_there_is_nothing_to_capture() -> None:
    host = MadeUpHost(denied=("/etc/haproxy/haproxy.cfg",))
    with pytest.raises(UserError) as caught:
        capture(host)
    assert str(caught.value) == (
        "No configuration of HAProxy can be read on the host "
        "(configuration 1: Permission denied). --config PATH names it."
    )


def test_a_host_without_linux_is_refused() -> None:
    host = MadeUpHost()
    host.facts["release"] = "None\n"
    with pytest.raises(UserError, match="did not print the release of its Linux"):
        capture(host)


def test_words_of_ones_own_are_cut_off_versions() -> None:
    host = MadeUpHost()
    host.facts["release"] = "6.8.0-31-generic-acme.3\n"
    host.facts["package"] = "installed 1:2.8.5-1ubuntu3.2~bpo22.04+acme1"
    found = capture(host).host
    assert (found.kernel.release, found.haproxy.version) == (
        "6.8.0-31-generic", "2.8.5-1ubuntu3.2~bpo22.04",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["nonsense", "{}", "[1]", '[{"addr_info": [{}]}]', "null"])
def test_addresses_that_make_no_sense_are_reported(text: str) -> None:
    host = MadeUpHost()
    host.facts["addresses"] = text
    found = capture(host).host
    assert found.addresses == ()
    assert found.not_read == (() if text == "{}" else ("addresses: not in the form of ip(8)",))
