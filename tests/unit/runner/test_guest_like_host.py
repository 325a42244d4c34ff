"""Guests like a captured host: the same parts, and the reported differences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hatester.artifacts.apt import Archive
from hatester.artifacts.mirrors import Mirrors
from hatester.capture.captured_host import Host, write_host
from hatester.matrix.declarations import Build, Kernel, load_matrix
from hatester.matrix.plan import Wanted
from hatester.runner.guest_like_host import Likeness, likeness
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import MATRIX

RELEASE = "6.1.0-18-amd64"
VERSION = "2.6.12-1+deb12u1"
FILES = {
    "/etc/haproxy/haproxy.cfg": "global\n",
    "/etc/haproxy/list1": "/etc/haproxy/certificate1\n",
}
STAND_INS = {
    "/etc/haproxy/certificate1": {
        "kind": "certificate", "keys": {"RSA 2048": 1, "ECDSA P-384": 1}, "names": 2,
    },
    "/etc/haproxy/authorities1": {"kind": "authorities", "keys": {"ECDSA P-256": 2}},
    "/etc/haproxy/revocations1": {"kind": "revocations"},
    "/etc/haproxy/tickets1": {"kind": "tickets"},
    "/etc/haproxy/map1": {"kind": "map", "entries": 3, "match": "ip"},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def host(**changes: Any) -> Host:
    return Host.model_validate(
        {
            "kernel": {"release": RELEASE, "architecture": "amd64"},
            "system": {"id": "debian", "suite": "bookworm"},
            "haproxy": {"version": VERSION, "package": "haproxy"},
            "unit": {
                "reload": "systemd", "drop_ins": 1,
                "settings": {"LimitNOFILE": "8192", "KillMode": "mixed"},
            },
            "arguments": ["-Ws", "-n", "2000"],
            "files": list(FILES),
            "stand_ins": STAND_INS,
            "sysctls": {"net.core.somaxconn": "1000"},
            "limits": {"nofile": 8192},
            "addresses": [
                {"address": "192.0.2.10/24", "interface": "eth0", "kind": "ether"},
                {"address": "127.0.0.1/8", "interface": "lo", "kind": "loopback"},
                {"address": "fe80::1/64", "interface": "eth0", "kind": "ether"},
            ],
            **changes,
        }
    )  # fmt: skip


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[Any]]:
    """Return the kernels and builds that there are, which a test adds."""
    there: dict[str, set[Any]] = {"kernels": set(), "builds": set()}

    def kit_version(_archive: object, kernel: Kernel) -> str:
        if (kernel.suite, kernel.version, kernel.snapshot) in there["kernels"]:
            return "1"
        raise MeasurementError("there is none")

    def of_suite(_archive: object, suite: str, version: str | None) -> None:
        if (suite, version) not in there["builds"]:
            raise MeasurementError("there is none")

    monkeypatch.setattr("hatester.runner.guest_like_host.kit_version", kit_version)
    monkeypatch.setattr("hatester.artifacts.haproxy.of_suite", of_suite)
    return there


def like(folder: Path, captured: Host, wanted: Wanted | None = None) -> Likeness:
    write_host(folder, "lb1", "lb1", captured, FILES)
    archive = Archive(Mirrors("http://nowhere", "http://nowhere", "http://nowhere"))
    return likeness(load_matrix(MATRIX), wanted or Wanted(), folder, "lb1", archive)


def test_what_is_to_be_had_is_the_same(tmp_path: Path, market: dict[str, set[Any]]) -> None:
    market["kernels"].add(("bookworm-backports", RELEASE, None))
    market["builds"].add(("bookworm", VERSION))
    found = like(tmp_path, host())
    assert found.differs == ()
    assert found.matrix.kernels[RELEASE] == Kernel(suite="bookworm-backports", version=RELEASE)
    assert found.matrix.builds[VERSION] == Build(suite="bookworm", version=VERSION)
    assert found.wanted == Wanted([RELEASE], [VERSION], ["lb1"], (), ["systemd"])
    setting = found.matrix.settings["lb1"]
    assert setting.arguments == ("-n", "2000")
    assert (setting.nofile, setting.lenient) == (8192, True)
    assert dict(setting.unit) == {"KillMode": "mixed"}
    assert dict(setting.sysctls) == {"net.core.somaxconn": "1000"}


def test_its_files_are_made_by_kind_and_number(tmp_path: Path, market: dict[str, set[Any]]) -> None:
    own = like(tmp_path, host()).own
    assert own.before == own.after == "global\n"
    assert own.addresses == ("192.0.2.10/32",)
    files = own.files
    assert files["list1"] == FILES["/etc/haproxy/list1"]
    assert files["map1"].split("\n") == [
        "10.0.0.0/32 value",
        "10.0.0.1/32 value",
        "10.0.0.2/32 value",
        "",
    ]
    assert "X509 CRL" in files["revocations1"]
    assert len(files["tickets1"].split()) == 3
    key, *_ = files["certificate1"].partition("-----BEGIN CERTIFICATE")
    made, chained = x509.load_pem_x509_certificates(
        files["certificate1"].removeprefix(key).encode()
    )
    assert isinstance(made.public_key(), rsa.RSAPublicKey)
    assert isinstance(chained.public_key(), ec.EllipticCurvePublicKey)
    assert load_pem_private_key(key.encode(), None).public_key() == made.public_key()
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(names) == 2
    # Servers' certificates are checked with the last one.
    authorities = x509.load_pem_x509_certificates(files["authorities1"].encode())
    assert len(authorities) == 3
    assert authorities[-1].public_key() == own.look_alikes.key.public_key()


def test_a_kernel_is_looked_for_in_the_snapshot_archive_before_another_one_is_taken(
    tmp_path: Path, market: dict[str, set[Any]]
) -> None:
    market["kernels"].add((None, None, RELEASE))
    assert like(tmp_path, host()).matrix.kernels[RELEASE].snapshot == RELEASE
    market["kernels"] = {("bookworm", "6.1", None)}
    found = like(tmp_path, host())
    assert found.matrix.kernels[RELEASE].version == "6.1"
    assert found.matrix.kernels[RELEASE].flavour == "generic"
    assert f"Linux {RELEASE} is not available; the guest has the newest 6.1 of bookworm" in (
        found.differs
    )


def test_all_that_differs_is_reported(tmp_path: Path, market: dict[str, set[Any]]) -> None:
    captured = host(
        kernel={"release": "6.8.0-31-generic", "architecture": "arm64"},
        system={"id": "ubuntu", "suite": "noble"},
        haproxy={"version": "2.8.5-1ubuntu3"},
        unit={"reload": "signal", "settings": {"KillMode": "mixed"}},
    )
    assert like(tmp_path, captured).differs == (
        "its system is ubuntu, and the guest's is Debian bookworm",
        "it is arm64, and the guest amd64",
        "Linux 6.8.0-31-generic is not available; the guest has the newest kernel of bookworm",
        "HAProxy 2.8.5-1ubuntu3 is not available as a package; the guest has the newest of "
        "bookworm",
        "the settings of its unit hold only for reloads by systemd",
    )


def test_what_else_is_wanted_takes_the_place_of_its_own(
    tmp_path: Path, market: dict[str, set[Any]]
) -> None:
    wanted = Wanted(["7.3"], ["3.4"], ["plain"], (), ["signal"], only=["*"])
    found = like(tmp_path, host(), wanted)
    assert found.wanted == wanted
    assert found.differs == ("the settings of its unit hold only for reloads by systemd",)


def test_a_host_that_was_not_captured_is_named(tmp_path: Path) -> None:
    archive: Any = None
    with pytest.raises(UserError, match="--host: there is no 'lb2'"):
        likeness(load_matrix(MATRIX), Wanted(), tmp_path, "lb2", archive)
