"""A configuration of one's own, and a production host, which one of our guests plays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hatester.artifacts.apt import Archive
from hatester.artifacts.builder import Workshop, side_by_side
from hatester.artifacts.mirrors import find_mirrors
from hatester.artifacts.ssh_keys import find_keys
from hatester.guests import qmp
from hatester.guests.checkpoint import single_guest
from hatester.guests.host_capabilities import choose_engine
from hatester.matrix.declarations import load_matrix
from hatester.util.paths import MATRIX
from hatester.util.progress import Progress
from tests.factories.live_run import comes_through, machines_of, newest
from tests.factories.project import invoke

CONFIGURATION = """
global
    chroot /var/lib/haproxy
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
    daemon
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    errorfile 503 /etc/haproxy/errors/503.http
frontend web
    bind 192.0.2.10:80,192.0.2.11:80
    default_backend app
listen mail
    mode tcp
    bind 192.0.2.11:2525
    server m1 10.0.0.6:25
backend app
    server a1 10.0.0.5:8080
"""
ERROR = "HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\nnobody\n"
LOST = "lost-192.0.2.10"
MEASURED = ("reload", LOST, "absent-all")


def require_lost(cell: dict[str, Any]) -> None:
    """Measure a reload of 2.2 without one of its addresses."""
    assert cell["scenario"] == LOST
    reload, again = cell["reloads"]
    assert (reload["reported"], again["reported"]) == ("failure", "success")
    expected = {label for label, each in reload["addresses"].items() if each["expected"]}
    assert expected == {"192.0.2.11:80", "192.0.2.11:2525"}
    for label in expected:
        assert reload["addresses"][label]["verdict"] == "outage"


def test_each_address_of_a_configuration_is_lost_in_turn(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors/503.http").write_bytes(ERROR.encode())
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION)
    words = ["--config", str(tmp_path / "haproxy.cfg"), "--setting", "plain"]
    words += [word for each in MEASURED for word in ("--only", f"*/{each}/*")]
    done = invoke(
        "matrix", *words, "--kernel", "6.1", "--haproxy", "2.2", folder=checkout, seconds=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = newest(checkout)
    cells = {cell["scenario"]: cell for cell in run["cells"]}
    assert [*cells] == [*MEASURED]
    assert not any(cell["error"] for cell in cells.values())
    assert comes_through(cells["reload"])
    require_lost(cells[LOST])
    assert cells["absent-all"]["ended"] == "start"
    assert "did not start while" in cells["absent-all"]["explanation"]
    assert "watched 3 of 3 binds; can be lost: 192.0.2.10 and 192.0.2.11" in done.stdout
    assert "192.0.2.10 missing at a reload: costs every address 2." in done.stdout
    scenario = checkout / "results" / run["run"] / "scenarios" / LOST / "scenario.yml"
    content = yaml.safe_load(scenario.read_text())
    resolver = "198.18.0.53:53"
    assert sorted(content["servers"]) == ["10.0.0.5:8080", "10.0.0.6:25", resolver]
    assert set(content["binds"]["before"].values()) == {"any"}
    assert not machines_of(checkout)


PLAY = """
mkdir -p /etc/haproxy/errors /etc/sysctl.d
printf 'net.core.somaxconn = 1000\\n' >/etc/sysctl.d/90-ours.conf
sysctl -qw net.core.somaxconn=1000
ip link add dummy0 type dummy
ip link set dummy0 up
for address in 192.0.2.10 192.0.2.11; do ip address add $address/32 dev dummy0; done
printf '#!/bin/sh\\nexec chroot /opt/haproxy/2.2 /usr/sbin/haproxy "$@"\\n' >/usr/sbin/haproxy
chmod 755 /usr/sbin/haproxy
"""


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Path]:
    """Write an SSH configuration that leads to a guest, which looks like a production host."""
    archive = Archive(find_mirrors(None, None, None))
    with side_by_side() as pool:
        shop = Workshop(archive, load_matrix(MATRIX), find_keys(), pool)
        with single_guest(
            shop, "6.1", ["2.2"], "production", Progress(), choose_engine("real")
        ) as guest:
            guest.run(PLAY)
            for name, text in (("haproxy.cfg", CONFIGURATION), ("errors/503.http", ERROR)):
                file = tmp_path / name.replace("/", "-")
                file.write_bytes(text.encode())
                guest.connection.put(str(file), f"/etc/haproxy/{name}")
            port = qmp.ssh_port(guest.folder)
            known = tmp_path / "known_hosts"
            kind, key, *_ = guest.keys.host_public.read_text().split()
            known.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
            configuration = tmp_path / "ssh_config"
            configuration.write_text(
                f"Host lb1\n  HostName 127.0.0.1\n  Port {port}\n  User root\n"
                f"  IdentityFile {guest.keys.private}\n  IdentitiesOnly yes\n"
                f"  UserKnownHostsFile {known}\n"
            )
            yield configuration


def test_a_captured_host_is_measured_with_its_own_configuration(
    checkout: Path, production: Path
) -> None:
    words = ["capture", "lb1", "--ssh-config", str(production)]
    done = invoke(*words, "--config", "/etc/haproxy/haproxy.cfg", folder=checkout, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    written = yaml.safe_load((checkout / "matrix/hosts/lb1.yml").read_text())
    assert written["kernel"]["release"].startswith("6.1.")
    assert written["haproxy"]["version"].startswith("2.2.")
    assert str(written["sysctls"]["net.core.somaxconn"]) == "1000"
    assert {each["address"] for each in written["addresses"]} >= {"192.0.2.10/32", "192.0.2.11/32"}
    words = ["matrix", "--host", "lb1", "--haproxy", "2.2", "--method", "signal"]
    words += ["--only", f"*/{LOST}/*"]
    done = invoke(*words, folder=checkout, seconds=900)
    assert done.returncode == 0, done.stdout + done.stderr
    run = newest(checkout)
    [cell] = run["cells"]
    require_lost(cell)
    assert cell["kernel"]["release"] == written["kernel"]["release"]
    assert run["captured"] == "lb1"
    timeline = subprocess.run(
        ["grep", "-o", "net.core.somaxconn=1000", "-r", str(checkout / "results/latest/cells")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert timeline.stdout
