"""Declarations: what is accepted, and what is said of what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.errors import UserError
from hatester.matrix import load_matrix
from hatester.paths import MATRIX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MATRIX, tmp_path / "matrix"))


def test_the_matrix_declares_five_kernels_and_five_builds() -> None:
    matrix = load_matrix(MATRIX)
    assert list(matrix.kernels) == ["5.10", "6.1", "6.12", "7.2", "7.3"]
    assert list(matrix.builds) == ["2.2", "2.6", "3.0", "3.2", "3.4"]
    assert matrix.settings["nonlocal-bind"].sysctls == {
        "net.ipv4.ip_nonlocal_bind": "1",
        "net.ipv6.ip_nonlocal_bind": "1",
    }


def test_an_unquoted_version_stays_what_was_written(folder: Path) -> None:
    (folder / "kernels.yml").write_text("kernels: {5.10: {suite: bullseye, version: 5.10}}")
    (folder / "default.yml").write_text(
        "{kernels: [5.10], haproxy: [3.0], settings: [plain], scenarios: [], methods: []}"
    )
    matrix = load_matrix(folder)
    assert matrix.kernels["5.10"].version == "5.10"
    assert matrix.default.haproxy == ("3.0",)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("kernels.yml", "kernels: {6.1: {suit: sid}}", "kernels.yml: kernels: 6.1: there is no"),
        ("kernels.yml", "kernels: {6.1: {suit: sid}}", "did you mean suite?"),
        ("kernels.yml", "kernels: {6.1: {}}", "kernels: 6.1: suite: field required"),
        ("kernels.yml", "kernels: {6.1: }", "kernels: 6.1: suite: field required"),
        ("kernels.yml", "kernels: {a/b: {suite: sid}}", "kernels: a/b"),
        ("kernels.yml", "kernels: {../x: {suite: sid}}", "kernels: ../x"),
        ("kernels.yml", "kernels: [6.1]", "kernels: input should be"),
        ("kernels.yml", "kernels:\n  6.1: {suite: sid\n", "kernels.yml, line 3: "),
        ("kernels.yml", "kernels:\n  a: {suite: x}\n  a: {suite: y}", "line 3: 'a' comes twice"),
        ("kernels.yml", "", "kernels.yml: kernels: field required"),
        ("kernels.yml", "nothing", "kernels.yml: here belong keys (kernels), not 'nothing'"),
        ("haproxy.yml", "builds: {2.2: {suite: a b}}", "haproxy.yml: builds: 2.2: suite"),
        ("settings.yml", "settings: {x: {sysctls: {nope: 1}}}", "settings: x: sysctls: nope"),
        ("settings.yml", "settings: {x: {bind: transparent}}", "settings: x: bind: input"),
        ("settings.yml", "settings: {x: {global: ['a\n\nb']}}", "settings: x: global: 0"),
    ],
)
def test_a_mistake_names_the_file_and_the_entry(
    folder: Path, file: str, content: str, sentence: str
) -> None:
    (folder / file).write_text(content)
    with pytest.raises(UserError) as caught:
        load_matrix(folder)
    assert sentence in str(caught.value)
    assert str(folder / file) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["kernels", "haproxy", "settings", "scenarios", "methods"])
def test_a_default_that_is_not_declared_is_named_with_the_choices(folder: Path, key: str) -> None:
    names = dict.fromkeys(("kernels", "haproxy", "settings", "scenarios", "methods"), "[]")
    names[key] = "[6.2]"
    (folder / "default.yml").write_text("\n".join(f"{k}: {v}" for k, v in names.items()))
    with pytest.raises(UserError, match=rf"default\.yml: {key}: there is no '6\.2'.*\(there are: "):
        load_matrix(folder)


def test_a_file_that_is_missing_or_no_text_is_named(folder: Path) -> None:
    (folder / "kernels.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"kernels\.yml is not UTF-8 text"):
        load_matrix(folder)
    (folder / "kernels.yml").unlink()
    with pytest.raises(UserError, match=r"kernels\.yml cannot be read: No such file"):
        load_matrix(folder)


@given(st.text(max_size=60))
def test_no_content_of_a_file_is_answered_with_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    folder = tmp_path_factory.mktemp("any") / "matrix"
    shutil.copytree(MATRIX, folder)
    (folder / "kernels.yml").write_text(content)
    with pytest.raises(UserError):
        load_matrix(folder)
