"""Builds that --haproxy describes itself: what it takes, and what they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatester.matrix.build_spec import with_described, with_given
from hatester.matrix.declarations import Build, load_matrix
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX

DECLARED = load_matrix(MATRIX)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a binary and a package, and go there."""
    for name in ("haproxy-2.8/haproxy", "other/haproxy-2.8/haproxy", "bin/haproxy", "haproxy.gdb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "haproxy_2.9.1-1~bpo12_amd64.deb").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("word", "name", "build"),
    [
        ("sid", "sid", {"suite": "sid"}),
        ("trixie-backports", "trixie-backports", {"suite": "trixie-backports"}),
        ("sid:3.2.26-1~x", "sid-3.2.26-1-x", {"suite": "sid", "version": "3.2.26-1~x"}),
        ("./haproxy-2.8/haproxy", "haproxy-2.8", {"path": "HERE/haproxy-2.8/haproxy"}),
        ("~/bin/haproxy", "haproxy", {"path": "HERE/bin/haproxy"}),
        ("./haproxy.gdb", "haproxy.gdb", {"path": "HERE/haproxy.gdb"}),
        (
            "haproxy_2.9.1-1~bpo12_amd64.deb", "haproxy_2.9.1-1-bpo12_amd64",
            {"packages": ["HERE/haproxy_2.9.1-1~bpo12_amd64.deb"]},
        ),
        ("docker://haproxy:1.8.26", "haproxy-1.8.26", {"image": "docker://haproxy:1.8.26"}),
        ("docker://quay.io/a/ha:3", "ha-3", {"image": "docker://quay.io/a/ha:3"}),
        ("oci:images/ha:3", "ha-3", {"image": "oci:HERE/images/ha:3"}),
        ("oci-archive:~/ha.tar", "ha.tar", {"image": "oci-archive:HERE/ha.tar"}),
    ],
)  # fmt: skip
def test_what_a_word_describes_has_a_readable_name(
    folder: Path, word: str, name: str, build: dict[str, object]
) -> None:
    matrix, names = with_described(DECLARED, [word])
    assert names == [name]
    expected = Build.model_validate(json.loads(json.dumps(build).replace("HERE", str(folder))))
    assert matrix.builds[name] == expected
    assert DECLARED.builds.items() < matrix.builds.items()
    assert with_described(DECLARED, [word]) == (matrix, names)


def test_a_name_is_the_declared_build(folder: Path) -> None:
    assert with_described(DECLARED, ["3.0", "2.2"]) == (DECLARED, ["3.0", "2.2"])


def test_two_builds_never_share_a_name(folder: Path) -> None:
    words = ["./haproxy-2.8/haproxy", "other/haproxy-2.8/haproxy", "haproxy-2.8/haproxy"]
    matrix, names = with_described(DECLARED, words)
    assert names[0] == names[2] == "haproxy-2.8"
    assert names[1].startswith("haproxy-2.8-")
    assert matrix.builds[names[1]].path == f"{folder}/other/haproxy-2.8/haproxy"
    (folder / "3.0").mkdir()
    (folder / "3.0/haproxy").touch()
    matrix, [name] = with_described(DECLARED, ["3.0/haproxy"])
    assert name.startswith("3.0-")
    assert matrix.builds["3.0"] == DECLARED.builds["3.0"]


def test_a_name_is_never_too_long_for_a_folder() -> None:
    words = [f"docker://{'x' * 200}", f"docker://{'x' * 200}y"]
    _, names = with_described(DECLARED, words)
    assert [len(name) for name in names] == [80, 87]


def test_what_was_given_can_be_had_again_from_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["haproxy-2.8/haproxy", "oci:images/ha:3", "sid", "3.0"]
    matrix, _ = with_described(DECLARED, words)
    monkeypatch.chdir("/")
    assert with_given(DECLARED, matrix.described_builds) == matrix
    assert with_described(DECLARED, list(matrix.described_builds.values()))[0] == matrix


def test_a_folder_with_a_colon_cannot_have_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a:b").mkdir()
    monkeypatch.chdir(folder / "a:b")
    with pytest.raises(UserError, match="a:b/images/ha: an image cannot be named by a path with"):
        with_described(DECLARED, ["oci:images/ha:3"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("3.3", "--haproxy: there is no '3.3'; did you mean 3."),
        ("", "--haproxy: there is no '' (there are: 2.2, "),
        ("Sid", "--haproxy: there is no 'Sid'"),
        (
            "haproxy:1.8",
            "--haproxy haproxy:1.8: an image has a transport, as in docker://haproxy:1.8.",
        ),
        ("sid:x", "--haproxy sid:x: version: "),
        ("./none/haproxy", "--haproxy HERE/none/haproxy: there is no such file."),
        ("none.deb", "--haproxy HERE/none.deb: there is no such file."),
        ("docker://a b", "--haproxy docker://a b: image: 'docker://a b' is not an image"),
        ("docker://--help", "--haproxy docker://--help: image: "),
        ("oci:", "--haproxy oci:: image: 'oci:' names no file."),
        ("oci:a\nb:c", "--haproxy oci:HERE/a\\nb:c: image: 'oci:HERE/a\\nb:c' is not an image"),
        ("./" + "x" * 300, "--haproxy HERE/xxx"),
    ],
)
def test_a_wrong_word_is_reported_in_one_sentence(folder: Path, word: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        with_described(DECLARED, [word])
    assert str(caught.value).startswith(sentence.replace("HERE", str(folder)))
    assert len(str(caught.value).splitlines()) == 1
