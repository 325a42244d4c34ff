"""Declarations: what is accepted, and what is said of what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatester.matrix.declarations import load_matrix
from hatester.util.errors import UserError
from hatester.util.paths import MATRIX
from hatester.util.validation import MOST_CHARACTERS

BOMB = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{level} [{', '.join(10 * [f'*a{level - 1}'])}]\n" for level in range(1, 9)
)
"""A few lines that stand for a billion values."""


def copy_declarations(folder: Path) -> Path:
    """Copy the matrix, with a link to its scenarios, which no test here changes."""
    folder.mkdir()
    for file in MATRIX.glob("*.yml"):
        shutil.copyfile(file, folder / file.name)
    (folder / "scenarios").symlink_to(MATRIX / "scenarios")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_declarations(tmp_path / "matrix")


def test_the_matrix_declares_five_kernels_and_five_builds() -> None:
    matrix = load_matrix(MATRIX)
    assert list(matrix.kernels) == ["5.10", "6.1", "6.12", "7.2", "7.3"]
    pairs = ["2.2-to-2.6", "2.6-to-3.0", "3.0-to-3.2"]
    assert list(matrix.builds) == ["2.2", "2.6", "3.0", "3.2", "3.4", *pairs]
    assert matrix.settings["nonlocal-bind"].sysctls == {
        "net.ipv4.ip_nonlocal_bind": "1",
        "net.ipv6.ip_nonlocal_bind": "1",
    }


def test_a_setting_says_what_it_needs() -> None:
    settings = load_matrix(MATRIX).settings
    needs = {
        name: (setting.linux, setting.haproxy, "soft-finish" in setting.methods)
        for name, setting in settings.items()
    }
    assert needs == {
        "plain": (None, None, True),
        "nonlocal-bind": (None, None, True),
        "transparent": (None, None, True),
        "expose-fd": (None, "1.8", True),
        "no-fd-passing": (None, "3.0", False),
        "noreuseport": (None, None, True),
        "migrate-req": ("5.14", None, True),
        "threads": (None, "1.8", True),
    }
    assert settings["no-fd-passing"].arguments == ("-x", "/dev/null")


def test_default_is_one_selection() -> None:
    matrix = load_matrix(MATRIX)
    [selection] = matrix.selections
    assert matrix.name == "default"
    assert selection.scenarios == ("lost-address", "address-returns")
    assert selection.settings == ("plain", "nonlocal-bind")
    assert selection.methods == ("signal",)


def test_full_selects_everything_that_there_is() -> None:
    full = load_matrix(MATRIX, "full")
    assert full.name == "full"
    for axis, names in full.declared.items():
        selected = {name for each in full.selections for name in getattr(each, axis)}
        assert selected == set(names)


def selection(**axes: str) -> str:
    """Return a selection in YAML, of one cell unless `axes` say otherwise."""
    cell = {
        "kernels": "[6.1]", "haproxy": "[3.0]", "settings": "[plain]",
        "scenarios": "[lost-address]", "methods": "[signal]",
    }  # fmt: skip
    return "{" + ", ".join(f"{axis}: {names}" for axis, names in {**cell, **axes}.items()) + "}"


def test_an_unquoted_version_stays_what_was_written(folder: Path) -> None:
    (folder / "kernels.yml").write_text("kernels: {5.10: {suite: bullseye, version: 5.10}}")
    (folder / "default.yml").write_text(selection(kernels="[5.10]"))
    matrix = load_matrix(folder)
    assert matrix.kernels["5.10"].version == "5.10"
    assert matrix.selections[0].haproxy == ("3.0",)


def test_a_file_makes_nothing_but_texts_lists_and_mappings(folder: Path, tmp_path: Path) -> None:
    (folder / "haproxy.yml").write_text(
        f"builds: {{a: {{suite: !!python/object/apply:os.mkdir [{tmp_path}/made]}}}}"
    )
    with pytest.raises(UserError, match="a: suite: expected text"):
        load_matrix(folder)
    assert not (tmp_path / "made").exists()


def test_any_other_file_is_a_matrix_of_one_selection_or_of_a_list(folder: Path) -> None:
    (folder / "mine.yml").write_text(f"- {selection()}\n- {selection(methods='[cli, systemd]')}")
    mine = load_matrix(folder, "mine")
    assert [each.methods for each in mine.selections] == [("signal",), ("cli", "systemd")]


def test_a_build_comes_from_anywhere_and_paths_begin_at_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (folder / "haproxy.yml").write_text(
        "builds:\n"
        "  exact: {suite: sid, version: 3.2.26-1+b2}\n"
        "  debs: {packages: [debs/*.deb, ~/x.deb, /y.deb], suite: sid}\n"
        "  mine: {path: ~/haproxy/haproxy}\n"
        "  original: {image: 'haproxy:1.8.26'}\n"
        "  layout: {image: 'oci:images/ha:3'}\n"
    )
    (folder / "default.yml").write_text(selection(haproxy="[mine]"))
    (folder / "full.yml").unlink()
    builds = load_matrix(folder).builds
    assert builds["exact"].version == "3.2.26-1+b2"
    assert builds["debs"].packages == (f"{folder}/debs/*.deb", "/home/me/x.deb", "/y.deb")
    assert builds["mine"].path == "/home/me/haproxy/haproxy"
    assert builds["original"].image == "docker://haproxy:1.8.26"
    assert builds["layout"].image == f"oci:{folder}/images/ha:3"
    assert [name for name, build in builds.items() if build.has_unit] == ["exact", "debs"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ful", "--matrix: there is no 'ful'; did you mean full? (there are: default, full)."),
        ("kernels", "--matrix: there is no 'kernels' (there are: default, full)."),
        ("../matrix/full", "--matrix: there is no '../matrix/full'"),
    ],
)
def test_a_wrong_matrix_is_reported_with_the_choices(name: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        load_matrix(MATRIX, name)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("kernels.yml", "kernels: {6.1: {suit: sid}}", "kernels.yml: kernels: 6.1: there is no"),
        ("kernels.yml", "kernels: {6.1: {suit: sid}}", "did you mean suite?"),
        ("kernels.yml", "kernels: {6.1: {}}", "kernels: 6.1: a kernel comes from one of suite, p"),
        ("kernels.yml", "kernels: {6.1: }", "urls, snapshot, not from none of them."),
        ("kernels.yml", "kernels: {x: {suite: a, vmlinuz: b}}", "not from suite and vmlinuz."),
        (
            "kernels.yml",
            "kernels: {x: {packages: [a], flavour: rt}}",
            "the key 'flavour' is not for a kernel",
        ),
        ("kernels.yml", "kernels: {x: {suite: a, modules: b}}", "'modules' is not for a k"),
        ("kernels.yml", "kernels: {x: {suite: a, flavour: r}}", "'r'; did you mean rt? (there are"),
        ("kernels.yml", "kernels: {x: {suite: a, version: ../}}", "x: version: expected a ver"),
        ("kernels.yml", "kernels: {x: {snapshot: 6, version: '6*'}}", "only a suite takes a patte"),
        ("kernels.yml", "kernels: {x: {packages: ['']}}", "packages: 0: expected a path, got"),
        ("kernels.yml", 'kernels: {x: {vmlinuz: "a\\0b"}}', "vmlinuz: expected a path, got"),
        ("kernels.yml", "kernels: {x: {packages: a}}", "x: packages: expected a list"),
        ("kernels.yml", "kernels: {x: {urls: [{url: 'http://a/b'}]}}", "0: sha256: this key is"),
        (
            "kernels.yml",
            "kernels: {x: {urls: [{url: 'http://a/b', sha256: abc}]}}",
            "urls: 0: sha256: expected a SHA-256",
        ),
        (
            "kernels.yml",
            f"kernels: {{x: {{urls: [{{url: 'ftp://a/b', sha256: {'0' * 64}}}]}}}}",
            "urls: 0: url: expected a URL",
        ),
        ("kernels.yml", "kernels: {a/b: {suite: sid}}", "kernels: a/b"),
        ("kernels.yml", "kernels: {../x: {suite: sid}}", "kernels: ../x"),
        ("kernels.yml", "kernels: [6.1]", "kernels: expected keys"),
        ("kernels.yml", "kernels:\n  6.1: {suite: sid\n", "kernels.yml, line 3: "),
        ("kernels.yml", "kernels:\n  a: {suite: x}\n  a: {suite: y}", "line 3: 'a' comes twice"),
        ("kernels.yml", "", "kernels.yml: kernels: this key is missing"),
        ("kernels.yml", "nothing", "kernels.yml: expected keys (kernels), got 'nothing'"),
        ("kernels.yml", "[" * 1000, "kernels.yml is nested too deeply."),
        (
            "kernels.yml",
            'a: "\\U00110000"',
            "kernels.yml, line 1: found invalid Unicode character escape code.",
        ),
        (
            "kernels.yml",
            'a: "\\UFFFFFFFF"',
            "kernels.yml, line 1: found invalid Unicode character escape code.",
        ),
        ("kernels.yml", "? [a]\n: b", "kernels.yml, line 1: ['a'] is not a name."),
        ("kernels.yml", BOMB, "line 1: with its aliases, this is more than 1000000 values."),
        ("kernels.yml", 'kernels: {"\\e[2J": {}}', r"kernels: \x1b[2J: expected a name"),
        ("kernels.yml", '"a\\nb": c', r"kernels.yml: there is no key 'a\nb' (there are: kernels)."),
        ("haproxy.yml", "builds: {2.2: {suite: a b}}", "haproxy.yml: builds: 2.2: suite"),
        ("haproxy.yml", "builds: {x: }", "x: expected one of suite, packages, path, "),
        ("haproxy.yml", "builds: {x: {path: a, image: b}}", "image, got path and image."),
        ("haproxy.yml", "builds: {x: {suite: sid, path: a}}", "image, got suite and path."),
        ("haproxy.yml", "builds: {x: {packages: a.deb}}", "x: packages: expected a list of at"),
        ("haproxy.yml", "builds: {x: {image: 'a b'}}", "x: image: 'a b' is not an image such as"),
        ("haproxy.yml", "builds: {x: {image: 'oci:'}}", "x: image: 'oci:' names no file."),
        ("haproxy.yml", "builds: {x: {image: 'oci::tag'}}", "x: image: 'oci::tag' names no file."),
        ("haproxy.yml", "builds: {x: {images: a}}", "no key 'images'; did you mean image?"),
        ("settings.yml", "settings: {x: {sysctls: {nope: 1}}}", "settings: x: sysctls: nope"),
        ("settings.yml", "settings: {x: {bind: transparent}}", "settings: x: bind: expected a"),
        ("settings.yml", "settings: {x: {global: ['a\n\nb']}}", "settings: x: global: 0"),
        ("settings.yml", "settings: {x: {linux: ٣}}", "settings: x: linux: expected a version"),
        ("settings.yml", 'settings: {x: {bind: ["a\\0"]}}', "settings: x: bind: 0: expected a"),
        ("settings.yml", "settings: {x: {linux: 5.x}}", "settings: x: linux: expected a version"),
        (
            "settings.yml",
            "settings: {x: {methods: [cil]}}",
            "x: methods: 0: there is no 'cil'; did",
        ),
        ("settings.yml", "settings: {x: {methods: []}}", "x: methods: expected a list of at"),
        ("settings.yml", "settings: {x: {methods: cli}}", "at least one name, got 'cli'"),
        ("default.yml", "[]", "default.yml: expected at least one selection, got []"),
        ("default.yml", "", "default.yml: kernels: this key is missing"),
        ("default.yml", "[6.1]", "default.yml: entry 1: expected keys (kernels, haproxy, "),
        ("default.yml", "{kernel: []}", "default.yml: there is no key 'kernel'; did you mean ker"),
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


def test_a_kernel_s_paths_are_relative_to_the_file_that_has_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (folder / "kernels.yml").write_text(
        "kernels:\n"
        "  debs: {packages: [../a.deb, ~/b/*.deb, /c]}\n"
        "  tree: {vmlinuz: bzImage, modules: ~/out}\n"
        f"  urls: {{urls: [{{url: 'https://a/b', sha256: {'AB' * 32}}}]}}\n"
        "  old: {snapshot: 6.1.0-18-amd64, version: 6.1.76, system: trixie}\n"
    )
    (folder / "default.yml").write_text(selection(kernels="[debs]"))
    kernels = load_matrix(folder).kernels
    assert kernels["debs"].packages == (
        folder / "../a.deb", Path("/home/me/b/*.deb"), Path("/c"),
    )  # fmt: skip
    assert kernels["tree"].vmlinuz == folder / "bzImage"
    assert kernels["tree"].modules == Path("/home/me/out")
    assert kernels["urls"].urls[0].sha256 == "ab" * 32
    assert kernels["old"].linux == "6.1.0-18-amd64"


AXES = pytest.mark.parametrize("axis", ["kernels", "haproxy", "settings", "scenarios", "methods"])


@AXES
def test_a_selected_name_that_is_not_declared_is_reported_with_the_choices(
    folder: Path, axis: str
) -> None:
    (folder / "default.yml").write_text(selection(**{axis: "[6.2]"}))
    with pytest.raises(
        UserError, match=rf"default\.yml: {axis}: there is no '6\.2'.*\(there are: "
    ):
        load_matrix(folder)
    (folder / "default.yml").write_text(f"- {selection()}\n- {selection(**{axis: '[6.2]'})}")
    with pytest.raises(UserError, match=rf"default\.yml: entry 2: {axis}: there is no '6\.2'"):
        load_matrix(folder)


@AXES
@pytest.mark.parametrize("names", ["[]", "", "6.1"])
def test_an_axis_without_a_list_of_names_is_a_mistake(folder: Path, axis: str, names: str) -> None:
    (folder / "default.yml").write_text(selection(**{axis: names}))
    sentence = rf"default\.yml: {axis}: expected a list of at least one name, got "
    with pytest.raises(UserError, match=sentence):
        load_matrix(folder)


def test_a_file_that_is_missing_or_no_text_is_named(folder: Path) -> None:
    (folder / "kernels.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"kernels\.yml is not UTF-8 text"):
        load_matrix(folder)
    (folder / "kernels.yml").write_text("#" * (MOST_CHARACTERS + 1))
    with pytest.raises(UserError, match=r"kernels\.yml is too long: more than 4194304 characters"):
        load_matrix(folder)
    (folder / "kernels.yml").unlink()
    with pytest.raises(UserError, match=r"kernels\.yml cannot be read: No such file"):
        load_matrix(folder)


@given(st.text(max_size=60))
def test_no_content_of_a_file_is_answered_with_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    folder = copy_declarations(tmp_path_factory.mktemp("any") / "matrix")
    (folder / "kernels.yml").write_text(content)
    with pytest.raises(UserError, match=r"kernels\.yml"):
        load_matrix(folder)
