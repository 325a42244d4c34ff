"""Changes of steps around HAProxy, with ip(8) and the kernel's files made up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provision.guest import environment, transcript
from provision.guest.environment import Environment
from provision.guest.errors import GuestError


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the commands of ip(8); interfaces come and go with them."""
    found: list[str] = []
    interfaces, sysctls = tmp_path / "net", tmp_path / "sys"
    (sysctls / "net/ipv4").mkdir(parents=True)
    (sysctls / "net/ipv4/ip_forward").write_text("0\n")

    def ip(*arguments: str, commands: str = "") -> str:
        for line in commands.splitlines() or [" ".join(arguments)]:
            found.append(line)
            words = line.split()
            if words[:2] == ["link", "add"]:
                (interfaces / words[2]).mkdir(parents=True)
                (interfaces / words[2] / "carrier").write_text("1\n")
            if words[:2] == ["link", "delete"]:
                (interfaces / words[2] / "carrier").unlink()
                (interfaces / words[2]).rmdir()
        return ""

    monkeypatch.setattr(environment, "ip", ip)
    monkeypatch.setattr(environment, "_INTERFACES", interfaces)
    monkeypatch.setattr(environment, "_SYSCTLS", sysctls)
    return found


@pytest.fixture
def around(commands: list[str], tmp_path: Path) -> Iterator[Environment]:
    """Make dummy0, which steps can name, and eth1."""
    interfaces = {"eth1": ["10.0.0.1/24"], "dummy0": ["192.0.2.1/32", "2001:db8::1/128"]}
    haproxy = SimpleNamespace(tree=tmp_path)
    around = Environment("dummy0", interfaces, cast(Any, haproxy))
    around.make()
    commands.clear()
    transcript.taken()
    yield around
    around.end()


def test_interfaces_are_made_with_their_addresses(commands: list[str]) -> None:
    Environment("dummy0", {"dummy0": ["192.0.2.1/32", "2001:db8::1/128"]}, cast(Any, None)).make()
    assert commands == [
        "link add dummy0 type dummy", "link set dummy0 up",
        "address add 192.0.2.1/32 dev dummy0", "address add 2001:db8::1/128 dev dummy0 nodad",
    ]  # fmt: skip


def test_address_goes_and_comes(around: Environment, commands: list[str]) -> None:
    around.remove("192.0.2.1")
    around.add("192.0.2.1/32")
    around.add("192.0.2.9/32")
    assert commands == [
        "address delete 192.0.2.1/32 dev dummy0",
        "address add 192.0.2.1/32 dev dummy0",
        "address add 192.0.2.9/32 dev dummy0",
    ]


def test_address_returns_to_its_interface(around: Environment, commands: list[str]) -> None:
    around.remove("10.0.0.1")
    around.add("10.0.0.1/24")
    assert [line.split()[-1] for line in commands] == ["eth1", "eth1"]


def test_interface_comes_back_with_what_it_had(around: Environment, commands: list[str]) -> None:
    around.remove("2001:db8::1")
    around.remove("dummy0")
    around.add("dummy0")
    assert "address add 192.0.2.1/32 dev dummy0" in commands
    assert not [line for line in commands if line.startswith("address add 2001:db8::1")]


def test_port_is_taken_and_freed(around: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = free.getsockname()
    around.occupy(f"127.0.0.1:{place[1]}")
    with pytest.raises(GuestError, match="cannot be occupied: Address already in use"):
        around.occupy(f"127.0.0.1:{place[1]}")
    around.free(f"127.0.0.1:{place[1]}")
    socket.create_server(place).close()
    assert transcript.taken()[-1] == "kill %%"


def test_file_is_broken_and_mended(around: Environment, tmp_path: Path) -> None:
    file = tmp_path / "etc/pki/site.pem"
    file.parent.mkdir(parents=True)
    file.write_text("sorry")
    around.break_("/etc/pki/site.pem")
    assert not file.exists()
    around.mend("/etc/pki/site.pem")
    assert file.read_text() == "sorry"
    assert transcript.taken() == [f"mv {file} {file}.away", f"mv {file}.away {file}"]


def test_all_is_taken_back(around: Environment, commands: list[str], tmp_path: Path) -> None:
    around.set_sysctl("net.ipv4.ip_forward", "1")
    assert (tmp_path / "sys/net/ipv4/ip_forward").read_text() == "1"
    around.remove("dummy0")
    around.end()
    assert (tmp_path / "sys/net/ipv4/ip_forward").read_text() == "0"
    assert commands == ["link delete dummy0", "link delete eth1"]


def test_unknown_sysctl_is_named(around: Environment) -> None:
    with pytest.raises(GuestError, match=r"this kernel has no sysctl net\.ipv4\.nothing"):
        around.set_sysctl("net.ipv4.nothing", "1")
