"""What is captured of a made-up host, and of this one."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.capture.capture import capture
from hatester.capture.host import load_host, report, write_host
from hatester.capture.remote import Remote
from hatester.util.errors import UserError
from tests.factories.production_host import CONFIGURATION, MadeUpHost, process, shell


def test_a_host_is_captured_as_it_is() -> None:
    captured = capture(MadeUpHost())
    host = captured.host
    assert host.model_dump(mode="json", exclude_none=True, exclude={"unit": {"text"}}) == {
        "kernel": {"release": "6.1.0-28-amd64", "architecture": "amd64"},
        "system": {"id": "debian", "suite": "bookworm"},
        "haproxy": {"version": "2.6.12-1+deb12u1", "package": "haproxy"},
        "unit": {"type": "notify", "reload": "systemd"},
        "arguments": ["-Ws", "-S", "/run/haproxy-master.sock"],
        "configuration": ["/etc/haproxy/haproxy.cfg"],
        "files": ["/etc/default/haproxy", "/etc/haproxy/haproxy.cfg"],
        "sysctls": {},
        "limits": {"nofile": 200000},
        "addresses": [
            {"address": "192.0.2.80/32", "interface": "lo", "kind": "loopback"},
            {"address": "192.0.2.2/24", "interface": "eth0", "kind": "ether"},
            {"address": "192.168.42.43/32", "interface": "dummy0", "kind": "dummy"},
        ],
        "not_read": [],
        "replaced": [],
    }
    assert "[Service]" in host.unit.text
    assert captured.files["/etc/haproxy/haproxy.cfg"] == CONFIGURATION


def test_a_host_that_tells_little_is_captured_by_what_it_tells() -> None:
    host = MadeUpHost(facts={"release": "6.1.0\n", "machine": "aarch64\n"})
    found = capture(host).host
    assert (found.kernel.architecture, found.system.id, found.system.suite) == (
        "arm64", "linux", None,
    )  # fmt: skip
    assert (found.haproxy.version, found.haproxy.package) == (None, None)
    assert found.unit.reload == "soft-finish"
    assert found.configuration == ("/etc/haproxy/haproxy.cfg",)
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
    assert (found.unit.reload, found.configuration) == (reload, ("/srv/lb.cfg",))


def test_a_haproxy_that_is_no_package_tells_its_version_itself() -> None:
    host = MadeUpHost()
    host.facts["package"] = "config-files 2.2.9-2"
    host.facts["version"] = "HA-Proxy version 1.8.26 2020/08/03\nCopyright ..."
    found = capture(host).host.haproxy
    assert (found.version, found.package) == ("1.8.26", None)


def test_folders_and_what_configurations_name_come_along() -> None:
    host = MadeUpHost(denied=("/etc/ssl/denied.pem",))
    host.facts["processes"] = process(
        412, "haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-f", "/etc/haproxy/conf.d"
    )
    block = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    host.files |= {
        "/etc/haproxy/haproxy.cfg": "global\n  crt-base /etc/ssl\n",
        "/etc/haproxy/conf.d/20.cfg": "frontend b\n  bind :443 ssl crt-list /etc/haproxy/list\n",
        "/etc/haproxy/conf.d/10.cfg": (
            "frontend a\n  bind :444 ssl crt folder crt denied.pem crt empty.pem\n"
            "  errorfile 503 ../etc/haproxy/503.http\n"
        ),
        "/etc/haproxy/conf.d/README": "no configuration",
        "/etc/haproxy/list": "a.pem [ca-file /etc/ca.pem] a.example.org\n",
        "/etc/haproxy/503.http": "HTTP/1.0 503 No\r\n\r\n",
        "/etc/ssl/a.pem": block,
        "/etc/ssl/folder/b.pem": block,
        "/etc/ssl/folder/b.pem.ocsp": "no certificate",
        "/etc/ssl/empty.pem": "no block\n",
        "/etc/ca.pem": block,
    }
    captured = capture(host)
    found = captured.host
    assert found.configuration == (
        "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/10.cfg", "/etc/haproxy/conf.d/20.cfg",
    )  # fmt: skip
    assert set(found.files) == host.files.keys() - {
        "/etc/haproxy/conf.d/README", "/etc/ssl/folder/b.pem.ocsp", "/etc/ssl/empty.pem",
    }  # fmt: skip
    assert found.not_read == (
        "/etc/ssl/denied.pem: Permission denied",
        "/etc/ssl/empty.pem: Holds no PEM block",
    )
    assert captured.files["/etc/ssl/a.pem"].count("PRIVATE KEY") == 2
    assert "PRIVATE KEY" not in captured.files["/etc/ca.pem"]
    assert len(found.replaced) == 3


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
    assert found.not_read == ("/etc/sysctl.d/secret.conf: Permission denied",)


def test_without_a_configuration_there_is_nothing_to_capture() -> None:
    host = MadeUpHost(denied=("/etc/haproxy/haproxy.cfg",))
    with pytest.raises(UserError) as caught:
        capture(host)
    assert str(caught.value) == (
        "No configuration of HAProxy can be read there "
        "(/etc/haproxy/haproxy.cfg: Permission denied)."
    )


def test_what_cannot_be_true_is_told_in_one_sentence() -> None:
    host = MadeUpHost()
    host.facts["release"] = "6.1\n6.2"
    with pytest.raises(UserError, match=r"^The host tells what cannot be: kernel: release: "):
        capture(host)


@pytest.mark.parametrize("text", ["nonsense", "{}", "[1]", '[{"addr_info": [{}]}]', "null"])
def test_addresses_that_make_no_sense_are_told(text: str) -> None:
    host = MadeUpHost()
    host.facts["addresses"] = text
    found = capture(host).host
    assert found.addresses == ()
    assert found.not_read == (() if text == "{}" else ("addresses: makes no sense",))


SECRETS = st.integers(0, 2**64).map(
    lambda seed: base64.b64encode(random.Random(seed).randbytes(30 + seed % 9)).decode()
)


@given(secret=SECRETS)
def test_no_planted_secret_is_written_anywhere(
    tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    host = MadeUpHost()
    host.facts["unit"] += f"Environment=TOKEN={secret}\n# {secret}\n"
    host.facts["sysctls"] = f"/proc/sys/net/ipv4/tcp_fastopen_key:{secret}\n"
    host.facts["processes"] = process(
        412, "haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-S", f"/run/{secret}"
    )
    host.files |= {
        "/etc/sysctl.conf": f"net.ipv4.tcp_fastopen_key = {secret}\n",
        "/etc/default/haproxy": f"PASSWORD={secret}\n",
        "/etc/haproxy/haproxy.cfg": (
            f"global\n  lua-load /x.lua\nfrontend f # {secret}\n  bind :443 ssl crt /x.pem "
            "tls-ticket-keys /tickets\n  http-request deny if { req.hdr(X-Api-Key) -f /keys }\n"
            f"  errorfile 503 /503.http\n  http-request set-header Authorization {secret}\n"
            f"  use_backend %[path,map(/tokens.map)]\n  stats auth {secret}:{secret}\n"
        ),
        "/x.lua": f'local x = "{secret}"',
        "/x.pem": f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n{secret}",
        "/tickets": f"{secret}\n" * 3,
        "/keys": f"{secret}\nhorse\n",
        "/503.http": f"HTTP/1.0 503 No\r\nSet-Cookie: {secret}\r\n\r\n",
        "/tokens.map": f"{secret} horse\n",
    }
    captured = capture(host)
    folder = tmp_path_factory.mktemp("hosts")
    write_host(folder, "lb1", "lb1", captured.host, captured.files)
    written = [file.read_text() for file in folder.rglob("*") if file.is_file()]
    assert len(written) > len(captured.files) == 8
    assert not [text for text in [*written, report(captured.host)] if secret in text]
    assert "horse" not in captured.files["/keys"] + captured.files["/tokens.map"]
    assert load_host(folder, "lb1") == captured.host


def test_this_host_is_captured_by_real_commands(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text("frontend main\n    bind 127.0.0.1:80\n    stats auth admin:horse\n")
    captured = capture(Remote(shell), [str(file)])
    assert captured.host.configuration == (str(file),)
    assert "horse" not in captured.files[str(file)]
    assert captured.host.kernel.release in Path("/proc/version").read_text()
    assert f"{file}, line 3: user and password of the statistics" in captured.host.replaced
