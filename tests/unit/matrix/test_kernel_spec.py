"""The values of --kernel, and the kernels that they stand for."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.artifacts.apt import Archive
from hatester.artifacts.kernel_source import local_release, suite_kernels
from hatester.matrix.declarations import NAME, Kernel, Matrix, load_matrix
from hatester.matrix.kernel_spec import Kernels, SuiteKernel, parse, with_kernels, with_names
from hatester.matrix.plan import Wanted, make_plan
from hatester.util.errors import MeasurementError, UserError
from hatester.util.paths import MATRIX
from tests.factories.kernels import RELEASE, MadeUpArchive, bzimage

DECLARED = load_matrix(MATRIX)
TRIXIE = {
    "6.16.3+deb13-cloud-amd64": "6.16.3-1~bpo13+1",
    "6.16.12+deb13-cloud-amd64": "6.16.12-1~bpo13+1",
    "6.16.12+deb13-rt-amd64": "6.16.12-1~bpo13+1",
    "6.17.8+deb13-cloud-amd64": "6.17.8-1~bpo13+1",
    "7.3.4+deb13-amd64": "7.3.4-1~bpo13+1",
    "7.3.4+deb13-cloud-amd64": "7.3.4-1~bpo13+1",
    "7.3.4+deb13-cloud-amd64-dbg": "7.3.4-1~bpo13+1",
    "7.3.4+deb13-cloud-amd64-unsigned": "7.3.4-1~bpo13+1",
    "cloud-amd64": "7.3.4-1~bpo13+1",
}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> list[SuiteKernel]:
    archive = MadeUpArchive(tmp_path_factory.mktemp("any") / "archive", TRIXIE)
    return suite_kernels(cast(Archive, archive), "trixie")


def _refuse(suite: str) -> Sequence[SuiteKernel]:
    raise AssertionError(f"{suite} was asked for")


nobody = Kernels(_refuse, local_release)


def of_files(kernel: Kernel) -> str:
    """Return the release of local files, without looking into packages."""
    return local_release(kernel) if kernel.vmlinuz else RELEASE


without_packages = Kernels(_refuse, of_files)


def suite_of(there: Sequence[SuiteKernel]) -> Kernels:
    return Kernels(lambda _: there, local_release)


def chosen(
    *words: str, there: Sequence[SuiteKernel] | None = None, kernels: Kernels = nobody
) -> Matrix:
    """Return the matrix with the kernels of words only."""
    kernels = kernels if there is None else suite_of(there)
    matrix, wanted = with_kernels(DECLARED, Wanted(words), kernels)
    return replace(matrix, kernels={name: matrix.kernels[name] for name in wanted.kernels})


def test_a_suite_lists_its_kernels_from_the_oldest_on(there: list[SuiteKernel]) -> None:
    assert [(each.release, each.flavour) for each in there] == [
        ("6.16.3+deb13-cloud-amd64", "cloud"), ("6.16.12+deb13-cloud-amd64", "cloud"),
        ("6.16.12+deb13-rt-amd64", "rt"), ("6.17.8+deb13-cloud-amd64", "cloud"),
        ("7.3.4+deb13-cloud-amd64", "cloud"), ("7.3.4+deb13-amd64", "generic"),
    ]  # fmt: skip


def test_declared_names_ask_nobody() -> None:
    matrix = chosen("6.1", "7.3")
    assert list(matrix.kernels) == ["6.1", "7.3"]
    assert matrix.described_kernels == {}
    assert with_kernels(DECLARED, Wanted(), nobody) == (DECLARED, Wanted(kernels=()))


@pytest.mark.parametrize(
    ("word", "names", "references"),
    [
        ("trixie", ["trixie"], ["trixie::cloud"]),
        ("trixie::rt", ["trixie-rt"], ["trixie::rt"]),
        ("trixie:6.16", ["trixie-6.16"], ["trixie:6.16:cloud"]),
        ("trixie:7.3:generic", ["trixie-7.3-generic"], ["trixie:7.3:generic"]),
        (
            "trixie:6.1[67].*",
            [name for name in TRIXIE if "6.1" in name and "cloud" in name],
            [f"trixie:{name}" for name in TRIXIE if "6.1" in name and "cloud" in name],
        ),
        ("trixie:6.*:rt", ["6.16.12+deb13-rt-amd64"], ["trixie:6.16.12+deb13-rt-amd64"]),
        (
            "trixie:7.*-amd64",
            ["7.3.4+deb13-cloud-amd64", "7.3.4+deb13-amd64"],
            ["trixie:7.3.4+deb13-cloud-amd64", "trixie:7.3.4+deb13-amd64"],
        ),
        (
            "trixie:6.16.12+deb13-rt-amd64",
            ["6.16.12+deb13-rt-amd64"],
            ["trixie:6.16.12+deb13-rt-amd64"],
        ),
        ("snapshot:6.1.0-18-amd64", ["6.1.0-18-amd64"], ["snapshot:6.1.0-18-amd64"]),
    ],
)
def test_a_word_stands_for_kernels_and_each_reference_for_one(
    word: str, names: list[str], references: list[str], there: list[SuiteKernel]
) -> None:
    matrix = chosen(word, there=there)
    assert list(matrix.kernels) == names
    assert list(matrix.described_kernels.values()) == references
    for name, reference in matrix.described_kernels.items():
        assert parse(reference) == matrix.kernels[name]
        assert chosen(reference, there=there).kernels == {name: matrix.kernels[name]}


def test_the_same_kernel_by_two_words_is_one(there: list[SuiteKernel]) -> None:
    matrix = chosen("trixie:6.16.*:rt", "trixie:6.16.12+deb13-rt-amd64", there=there)
    assert list(matrix.kernels) == ["6.16.12+deb13-rt-amd64"]


def test_local_files_are_called_by_their_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deb = tmp_path / "linux-image-mine.deb"
    deb.touch()
    (tmp_path / "vmlinuz").write_bytes(bzimage("6.9.2 odd"))
    monkeypatch.chdir(tmp_path)
    for word in (deb.name, str(deb), "./"):
        matrix = chosen(word, kernels=without_packages)
        assert list(matrix.kernels) == [RELEASE]
        monkeypatch.chdir("/")
        assert parse(matrix.described_kernels[RELEASE]) == matrix.kernels[RELEASE]
        monkeypatch.chdir(tmp_path)
    matrix = chosen("./vmlinuz")
    assert matrix.kernels["6.9.2"].vmlinuz == tmp_path / "vmlinuz"


def test_two_different_kernels_by_one_name_are_reported(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(bzimage(RELEASE))
    with pytest.raises(UserError, match=r"two different kernels by the name 6\.9\.1-mine; declare"):
        chosen(f"{tmp_path}/x.deb", f"{tmp_path}/vmlinuz", kernels=without_packages)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("6.2", r"--kernel: there is no '6\.2'; did you mean "),
        ("", r"--kernel: there is no ''"),
        ("trixie:9.*", r"has no cloud kernel 9\.\* \(there are: .*7\.3\.4\+deb13-cloud-amd64"),
        ("trixie:6.18", r"--kernel trixie:6\.18: suite trixie has no cloud kernel 6\.18 \(there a"),
        (
            "trixie:6.16.4+deb13-cloud-amd64",
            r"trixie has no kernel 6\.16\.4\+.* \(there are: .*6\.16\.3\+deb13-cloud-amd64.*\)\.$",
        ),
        ("trixie:7:xen", r"flavour: there is no 'xen' \(there are: cloud, generic, rt\)"),
        ("trixie:7:rt:x", r"it takes SUITE:VERSION:FLAVOUR"),
        (
            "trixie:../x",
            r"--kernel trixie:\.\./x: there is no such file package|/x: there is no such file",
        ),
        ("snapshot:", r"--kernel snapshot:: snapshot: expected a name"),
        ("snapshot:6 1", r"snapshot: expected a name"),
        ("/nowhere/", r"^/nowhere: there is no such file"),
        ("x.deb", r"x\.deb: there is no such file"),
        ("~nobody-at-all/x.deb", r"--kernel ~nobody-at-all/x\.deb: packages: 0: '~nobody"),
        ("~nobody-at-all/x", r"--kernel ~nobody-at-all/x: packages: 0: '~nobody"),
        (f"/{'x' * 300}", r"/xxx*: there is no such file"),
        ("/etc/passwd", r"^--kernel /etc/passwd: /etc/passwd is not a kernel that can be booted"),
    ],
)
def test_a_word_that_leads_to_no_kernel_gets_a_sentence(
    word: str, sentence: str, there: list[SuiteKernel]
) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        chosen(word, there=there)
    assert len(str(caught.value).splitlines()) == 1


def test_a_suite_that_the_mirror_lacks_is_reported_with_the_names_that_there_are() -> None:
    def lacking(suite: str) -> Sequence[SuiteKernel]:
        raise MeasurementError(f"the mirror has no suite {suite}")

    with pytest.raises(
        UserError, match=r"mine \(5\.10, .* are declared\): the mirror has no suite m"
    ):
        with_kernels(DECLARED, Wanted(["mine"]), Kernels(lacking, local_release))


PATTERN = Kernel(suite="trixie", version="6.1*", system="trixie")
WITH_PATTERN = replace(DECLARED, kernels={**DECLARED.kernels, "old": PATTERN})


def test_a_declared_pattern_is_all_that_match_it(there: list[SuiteKernel]) -> None:
    names = [name for name in TRIXIE if "6.1" in name and "cloud" in name]
    matrix, wanted = with_kernels(WITH_PATTERN, Wanted(["old"]), suite_of(there))
    assert list(wanted.kernels) == names
    assert matrix.described_kernels == {}
    assert {matrix.kernels[name].system for name in names} == {"trixie"}
    selecting = replace(
        WITH_PATTERN,
        selections=tuple(
            each.model_copy(update={"kernels": ("6.1", "old")}) for each in WITH_PATTERN.selections
        ),
    )
    plan = make_plan(*with_kernels(selecting, Wanted(), suite_of(there)))
    assert plan.kernels == ["6.1", *names]
    # The name is enough from then on.
    assert with_kernels(WITH_PATTERN, Wanted(names), nobody)[0].kernels == matrix.kernels
    assert with_names(WITH_PATTERN, names, {}).kernels == matrix.kernels


def test_a_declared_pattern_without_a_match_names_its_file(there: list[SuiteKernel]) -> None:
    pattern = PATTERN.model_copy(update={"version": "5.*"})
    matrix = replace(DECLARED, kernels={"old": pattern})
    with pytest.raises(UserError, match=r"kernels\.yml: old: suite trixie has no cloud kernel 5"):
        with_kernels(matrix, Wanted(["old"]), suite_of(there))


def test_names_of_a_stored_run_are_found_again_without_asking_anybody() -> None:
    references = {"trixie-rt": "trixie::rt", "6.1.0-18-amd64": "snapshot:6.1.0-18-amd64"}
    matrix = with_names(DECLARED, ["6.1", "trixie-rt", "6.1.0-18-amd64", "gone"], references)
    assert matrix.kernels["trixie-rt"] == Kernel(suite="trixie", flavour="rt")
    assert matrix.described_kernels == references
    assert "gone" not in matrix.kernels


@given(st.text(max_size=40))
def test_no_word_is_answered_with_a_traceback_or_an_unsafe_name(word: str) -> None:
    one = suite_of([SuiteKernel("7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", "cloud")])

    with contextlib.suppress(UserError):
        _, wanted = with_kernels(DECLARED, Wanted([word]), one)
        assert all(re.match(NAME, name) for name in wanted.kernels)


SUITE_WORDS = r"[a-z]{1,9}(:[0-9*?\[][0-9a-z.+~_*\[\]-]{0,9}(:(cloud|rt|generic))?)?"


@given(st.from_regex(SUITE_WORDS, fullmatch=True))
def test_what_a_suite_has_gets_a_safe_and_stable_name(word: str) -> None:
    one = suite_of([SuiteKernel("7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", "cloud")])

    with contextlib.suppress(UserError):
        first, wanted = with_kernels(DECLARED, Wanted([word]), one)
        [name] = wanted.kernels
        assert re.match(NAME, name)
        again, _ = with_kernels(DECLARED, Wanted([first.described_kernels[name]]), one)
        assert again.kernels[name] == first.kernels[name]
