"""Images: layouts, archives and registries; what is taken of them, and what is said of bad ones."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from hatester.artifacts import oci
from hatester.artifacts.disk import Content
from hatester.util.errors import MeasurementError, UserError
from tests.factories.elf import AARCH64, elf, haproxy
from tests.factories.http_server import Web
from tests.factories.servers import closed_port

pytestmark = pytest.mark.skipif(
    not (shutil.which("skopeo") and shutil.which("umoci")),
    reason="skopeo and umoci are not installed, which only images need",
)
FILES = {
    "usr/local/sbin/haproxy": haproxy("1.8.26", needed=["libc.so.6"]),
    "lib/x86_64-linux-gnu/libc.so.6": elf(),
}


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def layout(folder: Path, members: list[tuple[tarfile.TarInfo, bytes]], *how: str) -> Path:
    """Make an OCI layout with an image `made` of one layer; `how` is umoci-config(1)'s."""
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    made = folder / "layout"
    shutil.rmtree(made, ignore_errors=True)
    run("umoci", "init", "--layout", made)
    run("umoci", "new", "--image", f"{made}:made")
    run("umoci", "raw", "add-layer", "--image", f"{made}:made", layer)
    if how:
        run("umoci", "config", "--image", f"{made}:made", *how)
    return made


def files(contents: dict[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(name), content) for name, content in contents.items()]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def content(reference: str, folder: Path) -> Content:
    """Return what a tree would be made of; nothing stays that could not be removed."""
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        return oci.fetch(reference).content(scratch)
    finally:
        shutil.rmtree(scratch)


def names(found: Content) -> set[str]:
    return {member.name for member, _ in found.members}


def test_layout_and_archives_are_one_image(tmp_path: Path) -> None:
    made = layout(tmp_path, files(FILES))
    run("skopeo", "copy", f"oci:{made}:made", f"oci-archive:{tmp_path}/oci.tar")
    run("skopeo", "copy", f"oci:{made}:made", f"docker-archive:{tmp_path}/docker.tar")
    references = (
        f"oci:{made}:made", f"oci:{made}", f"oci-archive:{tmp_path}/oci.tar",
        f"docker-archive:{tmp_path}/docker.tar",
    )  # fmt: skip
    for reference in references:
        found = content(reference, tmp_path)
        assert found.version == "1.8.26"
        assert names(found) == {"usr/sbin/haproxy", "usr/lib/x86_64-linux-gnu/libc.so.6"}
    digests = {oci.fetch(reference).ingredients for reference in references[:3]}
    assert len(digests) == 1


def test_the_cache_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a:b 'c\"$(d)"))
    reference = f"oci:{layout(tmp_path, files(FILES))}:made"
    before = {path.name for path in tmp_path.iterdir()}
    assert content(reference, tmp_path).version == "1.8.26"
    assert {path.name for path in tmp_path.iterdir()} - before == {"a:b 'c\"$(d)"}


def test_changed_local_image_is_fetched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reference = f"oci:{layout(tmp_path, files(FILES))}:made"
    first = oci.fetch(reference)
    assert oci.fetch(reference).ingredients == first.ingredients
    assert caplog.messages == [f"fetching the image {reference}"]
    layout(tmp_path, files({**FILES, "usr/local/sbin/haproxy": haproxy("1.8.27")}))
    second = oci.fetch(reference)
    assert second.ingredients != first.ingredients
    assert content(reference, tmp_path).version == "1.8.27"


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("opt/ha/haproxy", ["--config.entrypoint", "/opt/ha/haproxy"]),
        ("opt/ha/haproxy", ["--config.cmd", "/opt/ha/haproxy", "--config.cmd", "-W"]),
        ("opt/ha/haproxy", ["--config.env", "PATH=/bin:/opt/ha"]),
        ("sbin/haproxy", []),
    ],
)
def test_haproxy_is_found_by_the_entrypoint(tmp_path: Path, path: str, how: list[str]) -> None:
    made = layout(tmp_path, files({path: haproxy("2.0.1")}), *how)
    assert content(f"oci:{made}:made", tmp_path).version == "2.0.1"


def test_links_stay_in_the_image(tmp_path: Path) -> None:
    secret = tmp_path / "haproxy"
    secret.write_bytes(haproxy("6.6.6"))
    hostile = [
        link("usr/local/sbin/haproxy", str(secret)),
        link("usr/local/bin", f"../../../../../../../..{tmp_path}"),
        link("usr/sbin/haproxy", str(secret), tarfile.LNKTYPE),
        *files({f"../../../../../../../../..{tmp_path}/written": b"outside"}),
    ]
    for members in (hostile[:2], hostile[:3], hostile):
        made = layout(tmp_path, members)
        with pytest.raises(MeasurementError):
            content(f"oci:{made}:made", tmp_path)
    assert not (tmp_path / "written").exists()


def test_whiteout_stays_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/victim").touch()
    up = f"../../../../../../../..{tmp_path}/outside"
    device = link("dev/sda", "", tarfile.BLKTYPE)
    taken = files({f"{up}/.wh.victim": b"", f"{up}/.wh..wh..opq": b"", "usr/.wh...": b""})
    for members in (
        taken,
        [link("usr/x", f"{tmp_path}/outside"), *files({"usr/x/.wh.victim": b""})],
    ):
        made = layout(tmp_path, [device, *members])
        with pytest.raises(MeasurementError):
            content(f"oci:{made}:made", tmp_path)
        assert (tmp_path / "outside/victim").exists()


def test_read_only_folders_are_removed(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("usr/local/sbin")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o555
    made = layout(tmp_path, [(folder, b""), *files(FILES)])
    assert content(f"oci:{made}:made", tmp_path).version == "1.8.26"
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"usr/bin/nginx": elf()}, "it has no haproxy in its PATH"),
        (
            {"usr/sbin/haproxy": elf()},
            "/usr/sbin/haproxy is not a HAProxy: it has no version of one",
        ),
        ({"usr/sbin/haproxy": b"#!/bin/sh"}, "/usr/sbin/haproxy is not a program"),
        (
            {"usr/sbin/haproxy": haproxy(machine=AARCH64)},
            "/usr/sbin/haproxy is for another architecture: AArch64",
        ),
        (
            {"usr/sbin/haproxy": haproxy(needed=["libssl.so.1.1"])},
            "/usr/sbin/haproxy needs libssl.so.1.1, which is missing",
        ),
    ],
)
def test_an_image_of_no_use_is_reported_why(
    tmp_path: Path, contents: dict[str, bytes], sentence: str
) -> None:
    made = layout(tmp_path, files(contents))
    with pytest.raises(MeasurementError, match=f"^{sentence}"):
        content(f"oci:{made}:made", tmp_path)


def test_unfetchable_image_is_named(tmp_path: Path) -> None:
    made = layout(tmp_path, files(FILES))
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    for reference, sentence in (
        (f"oci:{made}:other", "cannot be fetched: .*other"),
        (f"oci:{tmp_path}/none", r"none cannot be read: No such file or directory"),
        (f"oci-archive:{tmp_path}/broken.tar", "cannot be fetched: "),
        (f"docker://127.0.0.1:{closed_port()}/haproxy:1.8", "cannot be fetched: .*refused"),
    ):
        with pytest.raises(MeasurementError, match=sentence) as caught:
            oci.fetch(reference)
        assert len(str(caught.value).splitlines()) == 1


def test_blob_with_another_digest_is_refused(tmp_path: Path) -> None:
    made = layout(tmp_path, files(FILES))
    gzip = b"\x1f\x8b"
    [layer] = [b for b in made.glob("blobs/sha256/*") if b.read_bytes().startswith(gzip)]
    data = bytearray(layer.read_bytes())
    data[-1] ^= 1
    layer.write_bytes(data)
    with pytest.raises(MeasurementError, match=r"cannot be fetched: .*[Dd]igest"):
        oci.fetch(f"oci:{made}:made")


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^skopeo is not installed, .*: apt-get install skopeo"):
        oci.fetch("docker://haproxy:1.8.26")


@pytest.fixture
def registry(site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """Have the site be a registry without TLS (distribution-spec, pull)."""
    site.kind = "application/vnd.oci.image.manifest.v1+json"
    site.files["/v2/"] = b""
    configuration = tmp_path / ".config/containers/registries.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f'[[registry]]\nlocation = "{address(site)}"\ninsecure = true\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return site


def address(site: Web) -> str:
    return site.url.removeprefix("http://")


def publish(site: Web, made: Path) -> None:
    """Have a registry serve the image of a layout."""
    [manifest] = json.loads((made / "index.json").read_text())["manifests"]
    for blob in made.glob("blobs/sha256/*"):
        digest = f"sha256:{blob.name}"
        names = [digest, "1.8.26"] if digest == manifest["digest"] else [digest]
        for name in names:
            site.files[f"/v2/ha/haproxy/manifests/{name}"] = blob.read_bytes()
        site.files[f"/v2/ha/haproxy/blobs/{digest}"] = blob.read_bytes()


def test_registry_image_is_fetched_once(tmp_path: Path, registry: Web) -> None:
    publish(registry, layout(tmp_path, files(FILES)))
    reference = f"docker://{address(registry)}/ha/haproxy:1.8.26"
    assert content(reference, tmp_path).version == "1.8.26"
    before = oci.fetch(reference).ingredients
    asked = len(registry.asked)
    publish(registry, layout(tmp_path, files({"usr/sbin/haproxy": haproxy("1.8.27")})))
    assert oci.fetch(reference).ingredients == before
    assert len(registry.asked) == asked
    oci.fetch_again(reference)
    assert oci.fetch(reference).ingredients != before
    assert content(reference, tmp_path).version == "1.8.27"
    registry.files.clear()
    with pytest.raises(MeasurementError, match="cannot be fetched"):
        oci.fetch_again(reference)
    assert content(reference, tmp_path).version == "1.8.27"


def test_a_tag_that_does_not_exist_is_reported(registry: Web) -> None:
    with pytest.raises(MeasurementError, match=r"haproxy:1\.8\.99 cannot be fetched: .*1\.8\.99"):
        oci.fetch(f"docker://{address(registry)}/ha/haproxy:1.8.99")
