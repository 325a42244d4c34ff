"""The sysctls that are a host's own."""

from __future__ import annotations

import pytest

from hatester.capture.remote import Remote
from hatester.capture.sysctls import IN_FORCE, applied_files, own, values
from tests.factories.production_host import shell


def test_a_file_of_an_earlier_folder_takes_the_place_of_its_namesake() -> None:
    files = applied_files(
        {
            "/usr/lib/sysctl.d": ["50-default.conf", "README"],
            "/etc/sysctl.d": ["50-default.conf", "99-mine.conf"],
        }
    )
    assert set(files) == {
        "/etc/sysctl.d/50-default.conf", "/etc/sysctl.d/99-mine.conf", "/etc/sysctl.conf",
    }  # fmt: skip


def test_what_a_file_sets_is_taken_with_the_value_in_force() -> None:
    text = (
        "# net.core.rmem_max = 1\n; net.core.wmem_max = 1\n"
        "-net.ipv4.tcp_fin_timeout=30\nnet/ipv4/tcp_rmem = 1 2 3\n"
        "net.ipv4.conf.*.rp_filter = 2\nvm.swappiness = 1\n"
        "net.ipv4.no_such = 1\n-net.ipv4.tcp_mem\n"
    )
    in_force = {
        "net.core.rmem_max": "212992", "net.core.wmem_max": "212992",
        "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.tcp_mem": "1 2 3",
    }  # fmt: skip
    assert own([text], in_force, "6.1.0") == {
        "net.ipv4.tcp_fin_timeout": "60",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net.ipv4.conf.all.rp_filter": "0",
    }


@pytest.mark.parametrize(
    ("release", "value", "is_own"),
    [
        ("4.19.0-27-amd64", "128", False),
        ("4.19.0-27-amd64", "4096", True),
        ("5.4.0", "4096", False),
        ("6.1.0-28-amd64", "128", True),
    ],
)
def test_what_differs_from_the_default_of_that_kernel_is_taken(
    release: str, value: str, is_own: bool
) -> None:
    assert bool(own([], {"net.core.somaxconn": value}, release)) is is_own


def test_those_of_one_interface_and_secret_ones_are_not_listed() -> None:
    listed = Remote(shell).ask({"sysctls": IN_FORCE})["sysctls"]
    found = values(listed.text)
    assert found["net.core.somaxconn"].isdecimal()
    assert "net.ipv4.ip_local_port_range" in found
    assert not [name for name in found if ".lo." in name or ".neigh." in name]
    assert values("/proc/sys/net/ipv4/tcp_fastopen_key:0-0-0-0\nnonsense\n") == {}
